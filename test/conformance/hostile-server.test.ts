import { createServer, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { connect } from '../../src/index.js';
import { PING, REPLY, tagOf } from '../../src/protocol/frame.js';
import { encodeHandshake, HANDSHAKE_HEADER_BYTES, WELCOME } from '../../src/protocol/handshake.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { conformance } from './fixtures/contract.js';

/** A server that answers the handshake like any other and then does what the test wants. */
async function fakeServer(t: ExecutionContext, onClient: (socket: Socket) => void): Promise<string> {
  const path = socketPath();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    let received = Buffer.alloc(0);
    let isWelcomed = false;
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (isWelcomed || received.length < HANDSHAKE_HEADER_BYTES || received.length < 16 + received.readUInt32LE(12)) return;
      isWelcomed = true;
      socket.write(
        encodeHandshake(WELCOME, {
          contract: 'conformance',
          transport: 'socket',
          names: [],
          maxMessageBytes: 1_000_000,
          features: [],
          serverId: 'fake',
          pid: 1,
          runtime: 'fake',
        }),
      );
      onClient(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return path;
}

function frame(kind: number, id: number, length = 0): Buffer {
  const bytes = Buffer.alloc(16 + length);
  bytes.writeInt32LE(length, 0);
  bytes.writeInt32LE(tagOf(kind, 0, 0), 4);
  bytes.writeUInt32LE(id, 8);
  return bytes;
}

interface Queue {
  session: { writer: { queued: readonly unknown[] } };
}

test('a server that asks for signs of life without end and releases nothing does not fill the memory of the app', async (t) => {
  const pings = Buffer.concat(Array.from({ length: 256 }, (_, id) => frame(PING, id)));
  let rounds = 0;
  const path = await fakeServer(t, (socket) => {
    const more = (): void => {
      if (rounds++ < 80 && !socket.destroyed) socket.write(pings, () => setImmediate(more));
    };
    more();
  });
  const client = connect(conformance, { path, transport: 'socket', ringBytes: { toServer: 4096, toClient: 65_536 } });
  t.teardown(() => client.close());
  await client.ready({ timeout: 20_000 });
  let most = 0;
  await until('all are sent', () => {
    most = Math.max(most, (client as unknown as Queue).session.writer.queued.length);
    return rounds > 80 || client.status().state !== 'connected';
  });
  // The ring itself holds 256 of them.
  t.true(most < 2000, `${most} answers were queued`);
});

test('answers to calls that were never made are ignored', async (t) => {
  const path = await fakeServer(t, (socket) => {
    for (let id = 1000; id < 1100; id++) socket.write(frame(REPLY, id, 8));
  });
  const client = connect(conformance, { path, transport: 'socket' });
  t.teardown(() => client.close());
  await client.ready({ timeout: 20_000 });
  await t.throwsAsync(client.call('echo', 1, { timeout: 50 }), { code: 'ERR_PILLION_TIMEOUT' });
  t.is(client.status().state, 'connected');
});

test('a frame that a server must not send ends the connection, and the client says why', async (t) => {
  const path = await fakeServer(t, (socket) => socket.write(frame(1, 1)));
  const client = connect(conformance, { path, transport: 'socket' });
  t.teardown(() => client.close());
  const reason = await new Promise<Error | null>((resolve) => client.once('disconnect', resolve));
  t.is((reason as { code?: string } | null)?.code, 'ERR_PILLION_PROTOCOL');
});
