import { once } from 'node:events';
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Lookup } from '../rig/payload.js';
import type { Tally } from '../rig/tally.js';
import { answerStream, linkOfItems, takeUpload } from './http-items.js';
import type { Link, Place, Service, Transport } from './transport.js';

/** `node:http` with a keep-alive agent: one POST per message; one connection while one call is outstanding. */
export const http: Transport = {
  serve: serveOverTcp,
  connect: async (_place, port) => open({ host: '127.0.0.1', port: Number(port) }),
};

export const httpOverUnixSocket: Transport = {
  serve: serveOverUnixSocket,
  connect: async (_place, socketPath) => open({ socketPath }),
};

/** Also the other end of `undici-uds`. */
export function serveOverUnixSocket(place: Place, tally: Tally): Promise<Service> {
  return serve(tally, { path: join(place.directory, 'http.sock') });
}

/** Also the other end of `fetch` and `undici`. */
export function serveOverTcp(_place: Place, tally: Tally): Promise<Service> {
  return serve(tally, { port: 0, host: '127.0.0.1' });
}

async function serve(tally: Tally, where: { path?: string; port?: number; host?: string }): Promise<Service> {
  const server = createServer(async (request, response) => {
    if (request.url === '/upload') return takeUpload(request, response, tally);
    const body = await readAll(request);
    if (request.url === '/stream') return answerStream(body, response, tally);
    const reply =
      request.url === '/lookup' ? Buffer.from(JSON.stringify(tally.lookup(JSON.parse(body.toString()) as Lookup))) : tally.answer(body);
    response.writeHead(200, { 'content-length': reply.length }).end(reply);
  });
  // A lane may rest longer than the five seconds after which Node closes an idle connection.
  server.keepAliveTimeout = 0;
  server.listen(where);
  await once(server, 'listening');
  return {
    address: where.path ?? String((server.address() as AddressInfo).port),
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function open(where: RequestOptions): Link {
  const agent = new Agent({ keepAlive: true });
  const post = (path: string, body: Uint8Array) =>
    new Promise<Buffer>((resolve, reject) => {
      const headers = { 'content-length': body.length };
      const outgoing = request({ ...where, agent, method: 'POST', path, headers }, (response) => {
        readAll(response).then(resolve, reject);
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  const begin = (path: string): [ClientRequest, Promise<IncomingMessage>] => {
    const outgoing = request({ ...where, agent, method: 'POST', path });
    return [outgoing, once(outgoing, 'response').then(([response]) => response as IncomingMessage)];
  };
  return {
    call: (payload) => post('/bytes', payload),
    lookup: async (value) => JSON.parse((await post('/lookup', Buffer.from(JSON.stringify(value)))).toString()),
    ...linkOfItems(begin),
    async close() {
      agent.destroy();
    },
  };
}

function readAll(message: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    message.on('data', (chunk: Buffer) => chunks.push(chunk));
    message.on('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
    message.on('error', reject);
  });
}
