import { once } from 'node:events';
import type { AddressInfo, NetConnectOpts, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { Tally } from '../rig/tally.js';
import { assemble } from './assemble.js';
import { isOfItems, linkOfItems, serveItems } from './net-items.js';
import { PendingCalls } from './pending.js';
import type { Link, Place, Service, Transport } from './transport.js';

const nothing = Buffer.alloc(0);

/** Raw `node:net`: messages of one agreed length, without any framing; streams and uploads in frames. */
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
    if (isOfItems(place)) return serveItems(socket, place, tally);
    const receive = place.oneWay
      ? (message: Uint8Array) => tally.take(message)
      : (message: Uint8Array) => reply(socket, tally.answer(message));
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

/** A reply that the kernel did not take at once still lies in the assembler's memory, so no request may arrive until it has left. */
function reply(socket: Socket, message: Uint8Array): void {
  socket.write(message);
  if (socket.writableLength === 0 || socket.isPaused()) return;
  socket.pause();
  socket.write(nothing, () => socket.resume());
}

async function open(place: Place, where: NetConnectOpts): Promise<Link> {
  const socket = connect(where);
  await once(socket, 'connect');
  const pending = new PendingCalls();
  socket.on('error', (error) => pending.fail(error));
  socket.on('close', () => pending.fail(new Error('the connection was closed')));
  const close = async () => {
    socket.destroy();
  };
  if (isOfItems(place)) return { ...linkOfItems(socket, place, pending), close };
  socket.on(
    'data',
    assemble(place.payloadBytes, (reply) => pending.settle(reply)),
  );
  const drained = async () => {
    if (socket.writableNeedDrain) await once(socket, 'drain');
  };
  return {
    call(payload) {
      socket.write(payload);
      return pending.add();
    },
    event(payload) {
      if (socket.writableNeedDrain) return false;
      socket.write(Buffer.from(payload));
      return true;
    },
    room: drained,
    flush: drained,
    close,
  };
}
