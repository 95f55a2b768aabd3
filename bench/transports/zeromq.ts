import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { InFlight } from './in-flight.js';
import { optional } from './optional.js';
import { PendingCalls } from './pending.js';
import type { Link, Place, Service, Transport } from './transport.js';

const { Dealer, Router, Push, Pull } = await optional('zeromq', () => import('zeromq'));

const mostInFlight = 256;

/** ZeroMQ over `ipc://`: dealer and router for calls, push and pull for events. Its I/O runs in a thread of each process. */
export const zeromq: Transport = {
  async serve(place, tally): Promise<Service> {
    const address = `ipc://${join(place.directory, 'zeromq.sock')}`;
    const server = place.oneWay ? new Pull() : new Router();
    await server.bind(address);
    const done = (async () => {
      if (server instanceof Pull) for await (const [payload] of server) tally.take(payload as Buffer);
      else for await (const [sender, request] of server) await server.send([sender as Buffer, tally.answer(request as Buffer)]);
    })().catch(() => {});
    return {
      address,
      async close() {
        server.close();
        await done;
      },
    };
  },
  connect: async (place, address) => (place.oneWay ? pusher(address) : caller(place, address)),
};

function pusher(address: string): Link {
  const socket = new Push();
  socket.connect(address);
  const inFlight = new InFlight(mostInFlight);
  // One send may be under way at a time; the others wait their turn here.
  let last = Promise.resolve();
  return {
    event(payload) {
      if (inFlight.isFull) return false;
      inFlight.begin();
      const copy = Buffer.from(payload);
      last = last
        .then(() => socket.send(copy))
        .then(
          () => inFlight.end(),
          (error) => inFlight.end(error),
        );
      return true;
    },
    room: async () => void (await Promise.all([inFlight.room(), turn()])),
    flush: () => inFlight.idle(),
    close: async () => socket.close(),
  };
}

function caller(_place: Place, address: string): Link {
  const socket = new Dealer();
  socket.connect(address);
  const pending = new PendingCalls();
  const done = (async () => {
    for await (const [reply] of socket) pending.settle(reply as Buffer);
  })().catch((error) => pending.fail(error));
  let last: Promise<void> = Promise.resolve();
  return {
    call(payload) {
      const reply = pending.add();
      last = last.then(() => socket.send(payload)).catch((error) => pending.fail(error));
      return reply;
    },
    async close() {
      socket.close();
      await done;
    },
  };
}
