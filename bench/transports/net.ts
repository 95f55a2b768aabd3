import { once } from 'node:events';
import type { AddressInfo, NetConnectOpts } from 'node:net';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { Tally } from '../tally.js';
import type { Link, Place, Service, Transport } from './transport.js';

/** Raw `node:net`: messages of one agreed length, without any framing. */
export const unixSocket: Transport = {
  serve: (place, tally) => serve(place, tally, { path: join(place.directory, 'echo.sock') }),
  connect: (place, path) => open(place, { path }),
};

export const tcp: Transport = {
  serve: (place, tally) => serve(place, tally, { port: 0, host: '127.0.0.1' }),
  connect: (place, port) => open(place, { port: Number(port), host: '127.0.0.1', noDelay: true }),
};

async function serve(place: Place, tally: Tally, where: { path?: string; port?: number; host?: string }): Promise<Service> {
  const server = createServer({ noDelay: where.path === undefined }, (socket) => {
    socket.on('error', () => socket.destroy());
    const receive = place.oneWay
      ? (message: Uint8Array) => tally.take(message)
      : (message: Uint8Array) => void socket.write(tally.answer(message));
    socket.on('data', assemble(place.payloadBytes, receive));
  });
  server.listen(where);
  await once(server, 'listening');
  return {
    address: where.path ?? String((server.address() as AddressInfo).port),
    async close() {
      server.close();
    },
  };
}

async function open(place: Place, where: NetConnectOpts): Promise<Link> {
  const socket = connect(where);
  await once(socket, 'connect');
  let settle: { resolve(reply: Uint8Array): void; reject(error: Error): void } | undefined;
  socket.on(
    'data',
    assemble(place.payloadBytes, (reply) => settle?.resolve(reply)),
  );
  socket.on('error', (error) => settle?.reject(error));
  socket.on('close', () => settle?.reject(new Error('the connection was closed')));
  const drained = async () => {
    if (socket.writableNeedDrain) await once(socket, 'drain');
  };
  return {
    call: (payload) =>
      new Promise((resolve, reject) => {
        settle = { resolve, reject };
        socket.write(payload);
      }),
    stream(payload) {
      if (socket.writableNeedDrain) return false;
      socket.write(Buffer.from(payload));
      return true;
    },
    room: drained,
    flush: drained,
    async close() {
      socket.destroy();
    },
  };
}

/**
 * Cuts the byte stream into messages. A chunk that holds a whole message costs no copy; the parts of a large one are
 * collected in one buffer that is used again, which is safe because nobody looks at a message after the next arrived.
 */
function assemble(length: number, deliver: (message: Uint8Array) => void): (chunk: Uint8Array) => void {
  const partial = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  return (chunk) => {
    let rest = chunk;
    while (rest.length > 0) {
      const part = rest.subarray(0, length - filled);
      rest = rest.subarray(part.length);
      if (part.length === length) {
        deliver(part);
        continue;
      }
      partial.set(part, filled);
      filled += part.length;
      if (filled < length) continue;
      filled = 0;
      deliver(partial);
    }
  };
}
