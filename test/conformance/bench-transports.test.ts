import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { Child } from '../../bench/rig/child.js';
import { usableCpus } from '../../bench/rig/cpus.js';
import type { Conditions, Outcome } from '../../bench/rig/lane.js';
import { makeLine, replyMark, requestMark, stamp, verify } from '../../bench/rig/payload.js';
import { Unavailable } from '../../bench/rig/questions.js';
import { Tally } from '../../bench/rig/tally.js';
import { startCompanion } from '../../bench/transports/companion.js';
import { fileAppend } from '../../bench/transports/file-append.js';
import { transportNames } from '../../bench/transports/index.js';
import { unixSocket } from '../../bench/transports/net.js';
import { optional } from '../../bench/transports/optional.js';
import type { Place } from '../../bench/transports/transport.js';
import { until } from '../helpers/deadline.js';

/** Every adapter of the benchmark suite, through the processes that measure. */

const directory = mkdtempSync(join(tmpdir(), 'pillion-transports-'));
const timeoutMs = 20_000;
const plan = { runInMs: 10, warmupMs: 5, durationMs: 30 };
const app = new URL('../../bench/rig/app.js', import.meta.url);
const undisturbed: Conditions = {
  pattern: 'call',
  payloadBytes: 512,
  gapUs: 0,
  ratePerSec: 0,
  clients: 1,
  idleClients: 0,
  busyShare: 0,
  cpuLoad: false,
  placement: 'free',
};

const cases = {
  'a small call': { payloadBytes: 16 },
  'a call': {},
  'a large call': { payloadBytes: 64 * 1_024 },
  'calls at a rate': { ratePerSec: 200 },
  'calls of two clients at a rate': { ratePerSec: 200, clients: 2 },
  'a lookup': { pattern: 'lookup' },
  // Of a length that fits neither a pipe's pages nor a socket's chunks.
  events: { pattern: 'event', payloadBytes: 5_000 },
  'log lines': { pattern: 'send' },
  'small items': { pattern: 'stream', payloadBytes: 64 },
  'a stream': { pattern: 'stream', payloadBytes: 5_000 },
  'an upload': { pattern: 'upload', payloadBytes: 5_000 },
  'calls beside an upload': { pattern: 'beside-upload', ratePerSec: 200 },
  'calls beside idle connections': { pattern: 'crowd', idleClients: 3 },
  'a state': { pattern: 'read' },
  'a counter': { pattern: 'count' },
  'broadcasts to three clients': { pattern: 'fan-out', clients: 3 },
  frames: { pattern: 'frame', payloadBytes: 100_000 },
} satisfies Record<string, Partial<Conditions>>;

type Case = keyof typeof cases;
const calls: Case[] = ['a small call', 'a call', 'a large call'];
const anyCalls: Case[] = [...calls, 'calls of two clients at a rate'];
/** What has a channel to a second process or thread of its own has one client. */
const privateCalls: Case[] = [...calls, 'calls at a rate', 'a lookup', 'events'];
const oneWay: Case[] = ['events', 'log lines'];
const items: Case[] = ['small items', 'a stream', 'an upload'];
const conversation: Case[] = [
  ...items,
  'calls beside an upload',
  'calls beside idle connections',
  'a state',
  'a counter',
  'broadcasts to three clients',
];

const offers: Record<string, Case[]> = {
  shm: [...anyCalls, 'a lookup', ...oneWay, ...conversation, 'frames'],
  'shm-park': [...anyCalls, 'a lookup', ...oneWay, ...conversation, 'frames'],
  'shm-spin': [...anyCalls, 'a lookup', ...oneWay, ...conversation, 'frames'],
  socket: [...anyCalls, 'a lookup', ...oneWay, ...conversation],
  'shm-copy': ['frames'],
  uds: [...anyCalls, 'events', ...items, 'calls beside idle connections'],
  tcp: [...anyCalls, 'events', ...items],
  http: [...anyCalls, 'a lookup', ...items, 'calls beside an upload'],
  'http-uds': [...anyCalls, 'a lookup', ...items, 'calls beside an upload'],
  fetch: [...anyCalls, 'a lookup'],
  undici: [...anyCalls, 'a lookup'],
  'undici-uds': [...anyCalls, 'a lookup'],
  http2: anyCalls,
  grpc: [...anyCalls, 'small items', 'a stream'],
  zeromq: [...anyCalls, 'events'],
  'ipc-json': privateCalls,
  'ipc-advanced': privateCalls,
  worker: privateCalls,
  ws: [...anyCalls, 'a lookup', 'events'],
  'file-append': oneWay,
  'file-write': oneWay,
  'file-tail': oneWay,
  fifo: oneWay,
  'signal-file': oneWay,
  nats: [...anyCalls, 'events'],
  redis: [...anyCalls, 'events'],
  // A datagram of UDP holds less than 64 KiB.
  './examples/bench/datagram.mjs': anyCalls.filter((name) => name !== 'a large call'),
};

test.after.always('leaves no process behind', (t) => {
  rmSync(directory, { recursive: true, force: true });
  t.deepEqual(ownProcesses(), []);
});

test('every transport of two processes is tried', (t) => {
  const named = transportNames.filter((name) => name !== 'function' && !name.startsWith('limit'));
  t.deepEqual(named, Object.keys(offers).slice(0, named.length));
});

test('a transport of one’s own takes at most sixty lines', (t) => {
  t.true(readFileSync('examples/bench/datagram.mjs', 'utf8').split('\n').length <= 60);
});

for (const [transport, offered] of Object.entries(offers)) {
  test.serial(`${transport} delivers every message, whole and once: ${offered.join(', ')}`, async (t) => {
    for (const name of offered) {
      const outcome = await measure(transport, cases[name]);
      if (outcome instanceof Error) t.log(`${name}: ${outcome.message}`);
      else t.true(outcome.count > 0, name);
      t.notRegex(outcome instanceof Error ? outcome.message : '', /offers no/, name);
    }
  });
}

for (const transport of ['shm', 'uds', 'ipc-advanced', 'redis']) {
  test.serial(`${transport}, held: app and sidecar, and all that they started, keep to a CPU of their own`, async (t) => {
    const { child, sidecar } = await open(transport, { placement: 'held' });
    t.teardown(() => child.end());
    if (sidecar instanceof Error) return notTried(t, sidecar);
    const [first, second] = usableCpus();
    const appPid = child.pid as number;
    const others = ownProcesses().map((line) => Number(line.split(' ')[0]));
    t.deepEqual(usableCpus(appPid), [first]);
    for (const pid of others.filter((each) => each !== appPid)) t.deepEqual(usableCpus(pid), [second], String(pid));
    t.true(others.length > 1);
    t.true((await child.ask('round', plan, timeoutMs)).count > 0);
  });
}

test('a transport that loses a message is no result', async (t) => {
  const error = await t.throwsAsync(measure('./test/fixtures/node/losing-transport.mjs', { pattern: 'call-sync' }));
  t.regex(error?.message ?? '', /sent \d+, but received \d+/);
});

for (const transport of ['nats', 'redis', 'file-tail']) {
  test.serial(`${transport}: what runs beside the sidecar dies with it, even when it is killed`, async (t) => {
    const { child, sidecar } = await open(transport, { pattern: transport === 'file-tail' ? 'send' : 'call' });
    t.teardown(() => child.end());
    if (sidecar instanceof Error) return notTried(t, sidecar);
    const beside = () => ownProcesses().filter((line) => /nats-server|redis-server|tail/.test(line));
    await until('it runs', () => beside().length === 1);
    process.kill(sidecar, 'SIGKILL');
    await gone(beside);
    t.deepEqual(beside(), []);
  });
}

for (const transport of ['ipc-json', 'ipc-advanced']) {
  test.serial(`${transport}: a round whose second process dies fails`, async (t) => {
    const { child } = await open(transport, { pattern: 'event' });
    t.teardown(() => child.end());
    const round = t.throwsAsync(child.ask('round', { runInMs: 0, warmupMs: 0, durationMs: 5_000 }, timeoutMs));
    const [peer] = ownProcesses().filter((line) => line.includes('ipc-peer'));
    process.kill(Number(peer?.split(' ')[0]), 'SIGKILL');
    t.regex((await round)?.message ?? '', /the child process ended \(SIGKILL\)|Channel closed|EPIPE/);
  });
}

test('replies over a stream stay intact while the app is too busy to read them', async (t) => {
  const place = placeFor({ payloadBytes: 9_000 });
  const service = await unixSocket.serve?.(place, new Tally(place));
  const socket = connect(service?.address as string);
  await once(socket, 'connect');
  socket.pause();
  const count = 500;
  for (let sequence = 1; sequence <= count; sequence++) socket.write(stamped(place, sequence));
  // The service fills the socket's buffers meanwhile, and has to wait.
  await sleep(100);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) {
    chunks.push(chunk);
    if (lengthOf(chunks) === count * place.payloadBytes) break;
  }
  await service?.close();
  const replies = Buffer.concat(chunks);
  for (let index = 0; index < count; index++) {
    const offset = index * place.payloadBytes;
    t.notThrows(() => verify(replies.subarray(offset, offset + place.payloadBytes), place.payloadBytes, index + 1, replyMark));
  }
});

test('lines that are appended at the same time keep their order', async (t) => {
  const place = placeFor({ pattern: 'send', oneWay: true });
  const tally = new Tally(place);
  const service = await fileAppend.serve?.(place, tally);
  const link = await fileAppend.connect(place, service?.address as string);
  await Promise.all(Array.from({ length: 500 }, (_, index) => link.send?.(makeLine(index + 1))));
  await service?.collect?.();
  await service?.close();
  const { received, fault } = tally.report();
  t.is(fault, undefined);
  t.is(received, 500);
});

test('a package that is not installed makes a transport unavailable', async (t) => {
  const name = 'pillion-no-such-package';
  const error = await t.throwsAsync(
    optional(name, () => import(name)),
    { instanceOf: Unavailable },
  );
  t.is(error?.message, `needs the package ${name}: npm install ${name}`);
});

test('a server that is not installed makes its transport unavailable', (t) => {
  const error = t.throws(() => startCompanion('pillion-no-such-server', [], 'ignore'), { instanceOf: Unavailable });
  t.is(error?.message, 'pillion-no-such-server is not installed');
});

async function measure(transport: string, conditions: Partial<Conditions>): Promise<Outcome | Error> {
  const { child, sidecar } = await open(transport, conditions);
  try {
    return sidecar instanceof Error ? sidecar : await child.ask('round', plan, timeoutMs);
  } catch (error) {
    return excuse(error);
  } finally {
    await child.end();
  }
}

async function open(transport: string, conditions: Partial<Conditions>): Promise<{ child: Child; sidecar: number | Error }> {
  // The environment is handed down, so it tells all descendants.
  const child = new Child('app', app, { env: { PILLION_TEST_DIRECTORY: directory } });
  try {
    const lane = { ...undisturbed, ...conditions, transport, directory: mkdtempSync(join(directory, 'lane-')) };
    return { child, sidecar: (await child.ask('open', lane, timeoutMs)) ?? Number.NaN };
  } catch (error) {
    return { child, sidecar: excuse(error) };
  }
}

/** On a busy machine a rate may be missed, and that this is found out is right. */
function excuse(error: unknown): Error {
  if (error instanceof Unavailable || (error as Error).message.startsWith('rate missed')) return error as Error;
  throw error;
}

function placeFor(conditions: Partial<Place>): Place {
  const own = mkdtempSync(join(directory, 'place-'));
  return {
    directory: own,
    payloadBytes: 512,
    itemBytes: 512,
    pattern: 'call',
    oneWay: false,
    clients: 1,
    openLoop: false,
    gapUs: 0,
    ...conditions,
  };
}

function stamped({ payloadBytes }: Place, sequence: number): Buffer {
  const payload = Buffer.alloc(payloadBytes, 0x70);
  stamp(payload, sequence, requestMark);
  return payload;
}

function lengthOf(chunks: Buffer[]): number {
  return chunks.reduce((sum, { length }) => sum + length, 0);
}

async function gone(processes: () => string[]): Promise<void> {
  for (let attempt = 0; attempt < 100 && processes().length > 0; attempt++) await sleep(20);
}

/** All living descendants: number and command line. */
function ownProcesses(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8').replaceAll('\0', ' ');
        const commandLine = read('cmdline');
        // Redis overwrites its environment with its title, which names the socket. What has ended has neither.
        const isOwn = commandLine.includes(directory) || read('environ').includes(`PILLION_TEST_DIRECTORY=${directory}`);
        return isOwn ? [`${pid} ${commandLine}`] : [];
      } catch {
        return [];
      }
    });
}

/** Only where the machine lacks something that the transport needs, such as a broker or a second CPU: anything else `open` has thrown. */
function notTried(t: ExecutionContext, { message }: Error): void {
  t.log(`not tried: ${message}`);
  t.pass();
}
