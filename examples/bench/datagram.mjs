// A transport of one's own for pillion-bench: UDP on loopback.
//
//   npx pillion-bench --payload 512 --transports shm,uds,./datagram.mjs
//
// The rig makes, stamps and checks the payloads, counts them on both sides, and measures. This file only moves them.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';

const host = '127.0.0.1';

/** @type {import('pillion/bench').Transport} */
export default {
  async serve(place, tally) {
    const socket = createSocket('udp4', (message, from) => {
      if (place.oneWay) tally.take(message);
      else socket.send(tally.answer(message), from.port, from.address);
    });
    socket.bind(0, host);
    await once(socket, 'listening');
    return { address: String(socket.address().port), close: async () => void socket.close() };
  },

  async connect(_place, port) {
    const waiting = [];
    const socket = createSocket('udp4', (message) => waiting.shift()?.(message));
    socket.connect(Number(port), host);
    await once(socket, 'connect');
    return {
      call(payload) {
        socket.send(payload);
        return new Promise((resolve) => waiting.push(resolve));
      },
      close: async () => void socket.close(),
    };
  },
};
