import { setImmediate as turn } from 'node:timers/promises';
import type { Account, LogLine, Lookup } from '../rig/payload.js';
import type { Tally } from '../rig/tally.js';
import type { Wait, WantedTransport } from './pillion-library.js';
import { connectOver, library, socketPathIn } from './pillion-library.js';
import type { Link, Place, Service, Transport } from './transport.js';

const { contract, event, method, serve } = library;

const bench = contract('bench', {
  line: event<LogLine>(),
  tick: event<Uint8Array>({ codec: 'raw' }),
  bytes: method<Uint8Array, Uint8Array>({ codec: 'raw' }),
  lookup: method<Lookup, Account>(),
});

export const shm = over('shm', 'adaptive');
export const shmPark = over('shm', 'park');
export const shmSpin = over('shm', 'spin');
export const socket = over('socket', 'adaptive');

const conversations: readonly Place['pattern'][] = ['stream', 'upload', 'read', 'count', 'fan-out', 'beside-upload'];

function over(wanted: WantedTransport, wait: Wait): Transport {
  // Only what is mapped can be lent.
  const isLent = ({ pattern }: Place) => pattern === 'frame' && wanted === 'shm';
  return {
    async serve(place, tally) {
      if (isLent(place)) return (await import('./pillion-frames.js')).lending.serve(place, tally);
      if (!conversations.includes(place.pattern)) return serveBench(place, tally, wait);
      return (await import('./pillion-conversation.js')).serveConversation(place, tally, wait);
    },
    async connect(place, path) {
      if (isLent(place)) return (await import('./pillion-frames.js')).lending.connect(place, path);
      if (!conversations.includes(place.pattern)) return open(path, wanted, wait);
      return (await import('./pillion-conversation.js')).openConversation(path, wanted, wait);
    },
  };
}

async function serveBench(place: Place, tally: Tally, wait: Wait): Promise<Service> {
  const path = socketPathIn(place);
  const handlers = {
    line: (line: LogLine) => tally.line(line),
    tick: (payload: Uint8Array) => tally.take(payload),
    bytes: (payload: Uint8Array) => tally.answer(payload),
    lookup: (request: Lookup) => tally.lookup(request),
  };
  const server = await serve(bench, handlers, { path, wait });
  return { address: path, close: () => server.close() };
}

async function open(path: string, wanted: WantedTransport, wait: Wait): Promise<Link> {
  const client = await connectOver(bench, wanted, { path, wait });
  return {
    call: (payload) => client.call('bytes', payload),
    lookup: (request) => client.call('lookup', request),
    callSync: (payload) => client.callSync('bytes', payload),
    send: (line) => client.send('line', line),
    event: (payload) => client.send('tick', payload),
    async room() {
      await turn();
    },
    flush: () => client.flush(),
    counters: () => ({ doorbells: client.stats().doorbells }),
    close: () => client.close(),
  };
}
