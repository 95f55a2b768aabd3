import { once } from 'node:events';
import type { ClientHttp2Session, Http2Stream } from 'node:http2';
import { connect, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Transport } from './transport.js';

/** `node:http2` without TLS: one stream per call, all over one connection. */
export const http2: Transport = {
  async serve(_place, tally) {
    const sessions = new Set<{ destroy(): void }>();
    const server = createServer();
    server.on('session', (session) => sessions.add(session));
    server.on('stream', async (stream) => {
      const body = await readAll(stream).catch(() => undefined);
      if (!body) return;
      stream.respond({ ':status': 200 });
      stream.end(tally.answer(body));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return {
      address: String((server.address() as AddressInfo).port),
      async close() {
        server.close();
        for (const session of sessions) session.destroy();
      },
    };
  },
  async connect(_place, port) {
    const session = connect(`http://127.0.0.1:${port}`);
    await once(session, 'connect');
    session.on('error', () => session.destroy());
    return {
      call: (payload) => post(session, payload),
      async close() {
        session.destroy();
      },
    };
  },
};

async function post(session: ClientHttp2Session, payload: Uint8Array): Promise<Uint8Array> {
  const stream = session.request({ ':method': 'POST', ':path': '/bytes' });
  stream.end(payload);
  return readAll(stream);
}

function readAll(stream: Http2Stream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
    stream.on('error', reject);
    // Where the session goes down in good order, its streams get neither end nor error.
    stream.on('close', () => reject(new Error('the stream was closed')));
  });
}
