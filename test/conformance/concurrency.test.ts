import test from 'ava';
import { contract, method, serve } from '../../src/index.js';
import { rejectsAborted } from '../helpers/abort.js';
import { pattern } from '../helpers/bytes.js';
import type { Child } from '../helpers/child.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { type FlowClient, FlowSuite, overBoth, startFlowApp, startFlowSidecar } from './fixtures/flow-suite.js';

const suite = new FlowSuite({ concurrency: 2, maxQueuedBytes: 20_000, maxOpenStreams: 5 });
const LONG = { timeout: 60_000 };

interface Stats {
  callsHandled: number;
  callsWaiting: number;
  streamsOpen: number;
  streamsHandled: number;
  eventsHandled: number;
}

const stats = (): Promise<Stats> => suite.sidecar.ask('stats');
const finish = (number: number, sidecar = suite.sidecar): Promise<void> => sidecar.ask('finish', number);

/** The numbers whose work has begun since the last time, once there are so many. */
async function begun(count: number, sidecar: Child = suite.sidecar): Promise<number[]> {
  const all: number[] = [];
  await until(`${count} have begun`, async () => {
    all.push(...(await sidecar.ask<number[]>('started')));
    return all.length >= count;
  });
  return all;
}

async function waiting(count: number): Promise<void> {
  await until(`${count} wait`, async () => (await stats()).callsWaiting === count);
}

const work = (client: FlowClient, number: number): Promise<number> => client.call('work', { number }, LONG);

suite.over('so many calls of one client are at work at once, and the others follow in their order', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const answered: number[] = [];
  const calls = [1, 2, 3, 4, 5, 6].map((number) => work(client, number).then((answer) => answered.push(answer)));
  t.deepEqual(await begun(2), [1, 2]);
  await waiting(4);
  await finish(2);
  t.deepEqual(await begun(1), [3]);
  await finish(3);
  t.deepEqual(await begun(1), [4]);
  for (const number of [1, 4, 5, 6]) {
    await until(`${number} was begun`, async () => (await stats()).callsWaiting <= Math.max(0, 6 - number));
    await finish(number);
  }
  await Promise.all(calls);
  t.deepEqual(answered.slice(0, 2), [2, 3]);
  t.is(await suite.sidecar.ask('mostAtWork'), 2);
  t.deepEqual(await begun(2), [5, 6]);
});

suite.over('the limit is one of each client, and events are not counted', async (t, transport) => {
  const clients = await Promise.all([1, 2].map(() => suite.connect(t, transport)));
  const [one, two] = clients as [FlowClient, FlowClient];
  const calls = [work(one, 11), work(one, 12), work(two, 21), work(two, 22)];
  t.deepEqual((await begun(4)).sort(), [11, 12, 21, 22]);
  one.send('note', 5);
  t.deepEqual(await suite.heard(1), [5]);
  for (const number of [11, 12, 21, 22]) await finish(number);
  t.deepEqual(await Promise.all(calls), [11, 12, 21, 22]);
});

suite.over('a call that waits for its turn can be cancelled, and never begins', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const calls = [work(client, 1), work(client, 2)];
  await begun(2);
  const controller = new AbortController();
  const aborted = client.call('work', { number: 3 }, { signal: controller.signal, ...LONG });
  const late = client.call('work', { number: 4 }, { timeout: 50 });
  const kept = work(client, 5);
  await waiting(3);
  controller.abort();
  await rejectsAborted(t, aborted);
  await t.throwsAsync(late, { code: 'ERR_PILLION_TIMEOUT' });
  await waiting(1);
  for (const number of [1, 2]) await finish(number);
  await Promise.all(calls);
  t.deepEqual(await begun(1), [5]);
  await finish(5);
  t.is(await kept, 5);
});

suite.over('streams count, and wait for their turn like calls', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const calls = [work(client, 1), work(client, 2)];
  await begun(2);
  const items = client.stream('workStream', 3);
  const first = items.next();
  const uploaded = client.upload('collect', [pattern(10), pattern(20)]);
  const last = work(client, 4);
  await waiting(3);
  t.is((await stats()).streamsOpen, 0);
  await finish(1);
  t.deepEqual(await first, { value: 3, done: false });
  t.is((await stats()).streamsOpen, 1);
  await waiting(2);
  // Whoever leaves a stream makes room for the next.
  await items.return();
  t.is(await uploaded, 30);
  await finish(2);
  await until('the last one has begun', async () => (await stats()).callsWaiting === 0);
  await finish(4);
  t.is(await last, 4);
  await Promise.all(calls);
  await begun(1);
});

suite.over('a stream that waits for its turn can be left', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const calls = [work(client, 1), work(client, 2)];
  await begun(2);
  const before = (await stats()).streamsHandled;
  const items = client.stream('workStream', 3);
  await waiting(1);
  await items.return();
  await waiting(0);
  for (const number of [1, 2]) await finish(number);
  await Promise.all(calls);
  t.is((await stats()).streamsHandled, before);
});

suite.over('more streams than the sidecar allows are refused, each for itself', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const streams = [1, 2, 3, 4, 5, 6, 7].map((number) => client.stream('workStream', number));
  for (const refused of streams.slice(5)) await t.throwsAsync(refused.next(), { code: 'ERR_PILLION_BUSY', message: /5 streams/ });
  await t.throwsAsync(client.upload('collect', [pattern(1)]), { code: 'ERR_PILLION_BUSY' });
  t.deepEqual(await streams[0]?.next(), { value: 1, done: false });
  for (const stream of streams.slice(0, 5)) await stream.return();
  t.is(await client.upload('collect', [pattern(5)]), 5);
  t.is(client.stats().streamsOpen, 0);
  await suite.sidecar.ask('started');
});

suite.over('a client with many waiting calls is not read further, loses none, and does not make the sidecar grow', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const count = 300;
  const padding = 'x'.repeat(1000);
  const answers: number[] = [];
  const calls = Array.from({ length: count }, (_, number) =>
    client.call('work', { number, padding }, LONG).then((answer) => answers.push(answer)),
  );
  const seen = new Set<number>(await begun(2));
  await until('it has stopped to read', async () => (await stats()).callsWaiting >= 19);
  t.true((await stats()).callsWaiting <= 25);
  for (let number = 0; number < count; number++) {
    while (!seen.has(number)) for (const other of await begun(1)) seen.add(other);
    await finish(number);
  }
  await Promise.all(calls);
  t.deepEqual(
    answers,
    Array.from({ length: count }, (_, number) => number),
  );
});

suite.over(
  'calls that wait for their turn when their client is killed are dropped, the events around them are handled',
  async (t, transport) => {
    const app = await startFlowApp(t, suite.path, transport);
    await suite.sidecar.ask('aborted');
    await suite.sidecar.ask('takeHeard');
    await app.ask('work', [1, 2, 3, 4]);
    await begun(2);
    await waiting(2);
    t.is(await app.ask('send', 'note', 50), 50);
    await app.stop();
    t.is((await suite.heard(50)).length, 50);
    await waiting(0);
    await until('those at work were aborted', async () => (await suite.sidecar.ask<number[]>('aborted')).length === 2);
    t.deepEqual(await suite.sidecar.ask('started'), []);
  },
);

overBoth('a sidecar that leaves carries out the calls that wait for their turn', async (t, transport) => {
  const path = socketPath();
  const sidecar = await startFlowSidecar(path, { concurrency: 1 });
  t.teardown(() => sidecar.stop());
  const app = await startFlowApp(t, path, transport);
  const answers = [1, 2, 3].map((number) => app.ask('call', number));
  await begun(1, sidecar);
  await until('two wait', async () => (await sidecar.ask<Stats>('stats')).callsWaiting === 2);
  const closed = sidecar.ask('close');
  for (const number of [1, 2, 3]) {
    if (number > 1) await begun(1, sidecar);
    await finish(number, sidecar);
  }
  t.deepEqual(await Promise.all(answers), [1, 2, 3]);
  await closed;
});

test('a limit that is none is an error', async (t) => {
  const some = contract('some', { call: method() });
  for (const options of [{ concurrency: 0 }, { concurrency: 1.5 }, { maxOpenStreams: -1 }, { maxOpenStreams: Number.NaN }])
    await t.throwsAsync(serve(some, { call: () => {} }, { path: socketPath(), ...options }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
});
