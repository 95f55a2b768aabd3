import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { connect, contract, event, method, serve } from '../../src/index.js';
import type { Account, LogLine, Lookup } from '../payload.js';
import type { Tally } from '../tally.js';
import type { Link, Place, Service, Transport } from './transport.js';

const bench = contract('bench', {
  line: event<LogLine>(),
  tick: event<Uint8Array>({ codec: 'raw' }),
  bytes: method<Uint8Array, Uint8Array>({ codec: 'raw' }),
  lookup: method<Lookup, Account>(),
});

export const pillionShm: Transport = { serve: serveBench, connect: (_place, path) => open(path, 'shm') };
export const pillionSocket: Transport = { serve: serveBench, connect: (_place, path) => open(path, 'socket') };

async function serveBench(place: Place, tally: Tally): Promise<Service> {
  const path = join(place.directory, 'pillion.sock');
  const handlers = {
    line: (line: LogLine) => tally.line(line),
    tick: (payload: Uint8Array) => tally.take(payload),
    bytes: (payload: Uint8Array) => tally.answer(payload),
    lookup: (request: Lookup) => tally.lookup(request),
  };
  const server = await serve(bench, handlers, { path });
  return { address: path, close: () => server.close() };
}

async function open(path: string, wanted: 'shm' | 'socket'): Promise<Link> {
  const client = connect(bench, { path, transport: wanted === 'socket' ? 'socket' : 'auto' });
  await client.ready();
  const { transport, fallbackReason } = client.status();
  if (transport !== wanted) throw new Error(`pillion runs over ${transport}: ${fallbackReason ?? 'no reason given'}`);
  return {
    call: (payload) => client.call('bytes', payload),
    lookup: (request) => client.call('lookup', request),
    callSync: (payload) => client.callSync('bytes', payload),
    send: (line) => client.send('line', line),
    stream: (payload) => client.send('tick', payload),
    async room() {
      await turn();
    },
    flush: () => client.flush(),
    counters: () => ({ doorbells: client.stats().doorbells }),
    close: () => client.close(),
  };
}
