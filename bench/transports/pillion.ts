import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { ConnectOptions } from '../../src/index.js';
import type { Account, LogLine, Lookup } from '../rig/payload.js';
import type { Tally } from '../rig/tally.js';
import type { Link, Place, Service, Transport } from './transport.js';

/** Another build of pillion, to hold against this one: the path of its `index.js`. */
const otherLibrary = process.env['PILLION_BENCH_LIBRARY'];
const { connect, contract, event, method, serve } = (
  otherLibrary ? await import(pathToFileURL(otherLibrary).href) : await import('../../src/index.js')
) as typeof import('../../src/index.js');

const bench = contract('bench', {
  line: event<LogLine>(),
  tick: event<Uint8Array>({ codec: 'raw' }),
  bytes: method<Uint8Array, Uint8Array>({ codec: 'raw' }),
  lookup: method<Lookup, Account>(),
});

type Wait = NonNullable<ConnectOptions['wait']>;

export const shm = over('shm', 'adaptive');
export const shmPark = over('shm', 'park');
export const shmSpin = over('shm', 'spin');
export const socket = over('socket', 'adaptive');

function over(wanted: 'shm' | 'socket', wait: Wait): Transport {
  return {
    serve: (place, tally) => serveBench(place, tally, wait),
    connect: (_place, path) => open(path, wanted, wait),
  };
}

async function serveBench(place: Place, tally: Tally, wait: Wait): Promise<Service> {
  const path = join(place.directory, 'pillion.sock');
  const handlers = {
    line: (line: LogLine) => tally.line(line),
    tick: (payload: Uint8Array) => tally.take(payload),
    bytes: (payload: Uint8Array) => tally.answer(payload),
    lookup: (request: Lookup) => tally.lookup(request),
  };
  const server = await serve(bench, handlers, { path, wait });
  return { address: path, close: () => server.close() };
}

async function open(path: string, wanted: 'shm' | 'socket', wait: Wait): Promise<Link> {
  const client = connect(bench, { path, wait, transport: wanted === 'socket' ? 'socket' : 'auto' });
  await client.ready();
  const { transport, fallbackReason } = client.status();
  if (transport !== wanted) throw new Error(`pillion runs over ${transport}: ${fallbackReason ?? 'no reason given'}`);
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
