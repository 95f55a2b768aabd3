import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Account, Lookup } from '../rig/payload.js';
import { optional } from './optional.js';
import { PendingCalls } from './pending.js';
import type { Transport } from './transport.js';

const { WebSocket, WebSocketServer } = await optional('ws', () => import('ws'));

const options = { perMessageDeflate: false, maxPayload: 2 ** 30 };
const highWaterMarkBytes = 64 * 1_024;

/** `ws` over TCP, binary frames for bytes, JSON in text frames for objects, no compression. */
export const ws: Transport = {
  async serve(place, tally) {
    const server = new WebSocketServer({ ...options, port: 0, host: '127.0.0.1' });
    server.on('connection', (socket) => {
      socket.on('message', (data: Buffer, isBinary: boolean) => {
        if (place.oneWay) tally.take(data);
        else if (isBinary) socket.send(tally.answer(data));
        else socket.send(JSON.stringify(tally.lookup(JSON.parse(data.toString()) as Lookup)));
      });
    });
    await once(server, 'listening');
    return {
      address: String((server.address() as AddressInfo).port),
      async close() {
        for (const socket of server.clients) socket.terminate();
        server.close();
      },
    };
  },
  async connect(_place, port) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, options);
    await once(socket, 'open');
    const pending = new PendingCalls<Buffer>();
    socket.on('message', (data: Buffer) => pending.settle(data));
    socket.on('error', (error) => pending.fail(error));
    socket.on('close', () => pending.fail(new Error('the connection was closed')));
    const sent = () => new Promise<void>((resolve) => socket.ping(undefined, undefined, () => resolve()));
    return {
      call(payload) {
        socket.send(payload);
        return pending.add();
      },
      async lookup(request) {
        socket.send(JSON.stringify(request));
        return JSON.parse((await pending.add()).toString()) as Account;
      },
      event(payload) {
        if (socket.bufferedAmount > highWaterMarkBytes) return false;
        socket.send(Buffer.from(payload));
        return true;
      },
      room: sent,
      flush: sent,
      async close() {
        socket.terminate();
      },
    };
  },
};
