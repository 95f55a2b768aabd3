import { once } from 'node:events';
import test from 'ava';
import { broadcast, connect, contract, serve, state } from '../../src/index.js';
import { digest, pattern } from '../helpers/bytes.js';
import { inTime, until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { takeUncaught } from '../helpers/uncaught.js';
import { connectFlow, type FlowClient, FlowSuite, openFlow, startFlowApp, startFlowSidecar } from './fixtures/flow-suite.js';

const suite = new FlowSuite();

interface Memory {
  rss: number;
}

/** Waits until the client has this version of the state `config`. */
async function hasVersion(client: FlowClient, version: number): Promise<void> {
  await until(`the app has version ${version}`, () => client.state('config').value?.version === version);
}

suite.over('what the sidecar sets every app reads locally, and hears of', async (t, transport) => {
  const clients = await Promise.all([1, 2, 3].map(() => suite.connect(t, transport)));
  const heard = clients.map(() => [] as number[]);
  for (const [index, client] of clients.entries()) client.state('config').on('change', ({ version }) => heard[index]?.push(version));
  await suite.sidecar.ask('set', 'config', { version: 101, text: 'é' });
  for (const client of clients) await hasVersion(client, 101);
  for (const client of clients) {
    t.deepEqual(client.state('config').value, { version: 101, text: 'é' });
    t.is(client.state('config').value, client.state('config').value, 'decoded once');
    t.is(client.state('config'), client.state('config'));
    t.false(client.state('config').isStale);
    t.true(client.state('config').isKnown);
  }
  await until('all have heard', () => heard.every((versions) => versions.includes(101)));
});

suite.over(
  'until a value was told an app reads the default of the contract, and knows that it is none of the sidecar',
  async (t, transport) => {
    const path = socketPath();
    const client = openFlow(t, path, transport);
    t.is(client.state('limit').value, 7);
    t.is(client.state('config').value, undefined);
    t.true(client.state('limit').isStale);
    t.false(client.state('limit').isKnown);
    const sidecar = await startFlowSidecar(path);
    t.teardown(() => sidecar.stop());
    await client.call('echo', 1, { timeout: 20_000 });
    t.is(client.state('limit').value, 7);
    t.true(client.state('limit').isStale);
    await sidecar.ask('set', 'limit', 0);
    await until('the value is here', () => client.state('limit').isKnown);
    t.is(client.state('limit').value, 0);
    t.throws(() => client.state('nowhere' as 'config'), { code: 'ERR_PILLION_UNKNOWN_NAME', message: /config, limit, blob, motto/ });
  },
);

suite.over('the values that have arrived are counted, those that were replaced on the way are not', async (t, transport) => {
  const client = await suite.connect(t, transport);
  // The connection begins with those that have a value.
  await client.call('echo', 1);
  const before = client.stats().statesReceived;
  await suite.sidecar.ask('set', 'config', { version: 1 });
  await suite.sidecar.ask('set', 'limit', 1);
  await client.call('echo', 1);
  t.is(client.stats().statesReceived, before + 2);
  await suite.sidecar.ask('setMany', 5000, 500);
  await hasVersion(client, 5000);
  const { statesReceived } = client.stats();
  t.true(statesReceived > before + 2 && statesReceived <= before + 5002);
  t.is(client.stats().broadcastsReceived, 0);
});

suite.over('an app that connects late has the values before the first answer', async (t, transport) => {
  await suite.sidecar.ask('set', 'config', { version: 7 });
  await suite.sidecar.ask('set', 'limit', 70);
  const client = openFlow(t, suite.path, transport);
  await client.call('echo', 1, { timeout: 20_000 });
  t.deepEqual(client.state('config').value, { version: 7 });
  t.is(client.state('limit').value, 70);
  t.false(client.state('limit').isStale);
});

suite.over('of many values that come at once the latest is what remains, in order', async (t, transport) => {
  await suite.sidecar.ask('set', 'config', { version: 0 });
  const client = await suite.connect(t, transport, { ringBytes: { toClient: 4096 } });
  const seen: number[] = [];
  client.state('config').on('change', ({ version }) => seen.push(version));
  await suite.sidecar.ask('setMany', 20_000, 500);
  await hasVersion(client, 20_000);
  t.deepEqual(
    [...seen].sort((a, b) => a - b),
    seen,
  );
  t.is(seen.at(-1), 20_000);
  t.is(new Set(seen).size, seen.length);
});

suite.over('a value larger than a quarter of the ring, or than the ring, arrives whole', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes: { toClient: 4096 } });
  for (const [seed, length] of [1009, 4096, 5000, 300_000, 0, 3_000_000].entries()) {
    await suite.sidecar.ask('setBlob', length, seed);
    await until(`${length} bytes are here`, () => client.state('blob').value?.length === length);
    t.is(digest(client.state('blob').value as Uint8Array), digest(pattern(length, seed)));
  }
  await suite.sidecar.ask('setBlob', 0);
});

suite.over('large values that are replaced while they are on their way end with the latest', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes: { toClient: 16_384 } });
  for (let seed = 1; seed <= 20; seed++) await suite.sidecar.ask('setBlob', 100_000 + seed, seed);
  await until('the last one is here', () => client.state('blob').value?.length === 100_020);
  t.is(digest(client.state('blob').value as Uint8Array), digest(pattern(100_020, 20)));
  await suite.sidecar.ask('setBlob', 0);
});

suite.over('a value that cannot be decoded leaves the one before, says so, and is out of date', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const motto = client.state('motto');
  const invalid: Error[] = [];
  motto.on('invalid', (error) => invalid.push(error));
  await suite.sidecar.ask('set', 'motto', 'fine');
  await until('the first value is here', () => motto.value === 'fine');
  await suite.sidecar.ask('set', 'motto', 'unreadable');
  await until('the listener has heard, though nobody reads', () => invalid.length > 0);
  t.is((invalid[0] as { code?: string }).code, 'ERR_PILLION_DECODE');
  t.is(motto.value, 'fine');
  t.true(motto.isStale);
  const changes: unknown[] = [];
  motto.on('change', (value) => changes.push(value));
  await suite.sidecar.ask('set', 'motto', 'fine again');
  await until('the next value is here', () => motto.value === 'fine again');
  t.false(motto.isStale);
  await suite.sidecar.ask('set', 'motto', 'unreadable again');
  await until('the second is told', () => invalid.length === 2);
  t.deepEqual(changes, ['fine again']);
  await suite.sidecar.ask('set', 'motto', 'readable');
});

suite.over('the last value is kept, marked stale, while the sidecar is dead, and the successor tells its own', async (t, transport) => {
  const path = socketPath();
  const first = await startFlowSidecar(path);
  t.teardown(() => first.stop());
  const client = await connectFlow(t, path, transport);
  await first.ask('set', 'config', { version: 1 });
  await first.ask('set', 'limit', 1);
  await hasVersion(client, 1);
  const stale = inTime('the state is stale', once(client.state('config'), 'stale'));
  await first.stop();
  await stale;
  t.deepEqual(client.state('config').value, { version: 1 });
  t.true(client.state('config').isStale);
  const second = await startFlowSidecar(path);
  t.teardown(() => second.stop());
  await client.call('echo', 1, { timeout: 20_000 });
  t.true(client.state('config').isStale, 'the successor has told nothing yet');
  t.deepEqual(client.state('config').value, { version: 1 });
  await second.ask('set', 'config', { version: 2 });
  await hasVersion(client, 2);
  t.false(client.state('config').isStale);
  t.true(client.state('limit').isStale);
  t.is(client.state('limit').value, 1);
});

suite.over('the same value after a reconnect is fresh again', async (t, transport) => {
  const path = socketPath();
  const first = await startFlowSidecar(path);
  t.teardown(() => first.stop());
  const client = await connectFlow(t, path, transport);
  await first.ask('set', 'limit', 5);
  await until('it is here', () => client.state('limit').value === 5);
  await first.stop();
  await until('it is stale', () => client.state('limit').isStale);
  const second = await startFlowSidecar(path);
  t.teardown(() => second.stop());
  await second.ask('set', 'limit', 5);
  await until('it is fresh', () => !client.state('limit').isStale);
  t.is(client.state('limit').value, 5);
});

suite.over('a closed client keeps the values, marked stale', async (t, transport) => {
  await suite.sidecar.ask('set', 'limit', 99);
  const client = await suite.connect(t, transport);
  await until('the value is here', () => client.state('limit').value === 99);
  await client.close();
  t.is(client.state('limit').value, 99);
  t.true(client.state('limit').isStale);
});

suite.over('a value that cannot be sent changes nothing', async (t, transport) => {
  const definitions = contract('strict', { number: state<unknown>({ codec: 'json' }), raw: state<Uint8Array>({ codec: 'raw' }) });
  const path = socketPath();
  const server = await serve(definitions, {}, { path, maxMessageBytes: 1000 });
  t.teardown(() => server.close());
  server.state('number').set({ a: 1 });
  t.throws(() => server.state('number').set(() => 1), { code: 'ERR_PILLION_ENCODE' });
  t.throws(() => server.state('raw').set('text' as unknown as Uint8Array), { code: 'ERR_PILLION_ENCODE' });
  t.throws(() => server.state('raw').set(pattern(1001)), { code: 'ERR_PILLION_TOO_LARGE' });
  t.throws(() => server.state('nowhere' as 'raw'), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  t.deepEqual(server.state('number').value, { a: 1 });
  t.is(server.state('raw').value, undefined);
  const client = connect(definitions, { path, transport: transport === 'shm' ? 'auto' : 'socket' });
  t.teardown(() => client.close());
  await until('the value is here', () => client.state('number').isKnown);
  t.deepEqual(client.state('number').value, { a: 1 });
  t.false(client.state('raw').isKnown);
});

suite.over('what is set is what was set: later changes to the object reach nobody, whatever codec an app speaks', async (t, transport) => {
  const ours = contract('mutable', { value: state<{ n: number }>() });
  const theirs = contract('mutable', { value: state<{ n: number }>({ codec: 'json' }) });
  const path = socketPath();
  const server = await serve(ours, {}, { path });
  t.teardown(() => server.close());
  const value = { n: 1 };
  server.state('value').set(value);
  value.n = 2;
  const options = { path, transport: transport === 'shm' ? ('auto' as const) : ('socket' as const) };
  for (const client of [connect(ours, options), connect(theirs, options)]) {
    t.teardown(() => client.close());
    await until('the value is here', () => client.state('value').isKnown);
    t.deepEqual(client.state('value').value, { n: 1 });
  }
});

suite.over('a client whose codec cannot carry a value does without; the others get it', async (t, transport) => {
  const ours = contract('codecs', { value: state<{ n: number }>(), said: broadcast<{ n: number }>() });
  const theirs = contract('codecs', { value: state<Uint8Array>({ codec: 'raw' }), said: broadcast<Uint8Array>({ codec: 'raw' }) });
  const path = socketPath();
  const server = await serve(ours, {}, { path });
  t.teardown(() => server.close());
  const options = { path, transport: transport === 'shm' ? ('auto' as const) : ('socket' as const) };
  const odd = connect(theirs, options);
  t.teardown(() => odd.close());
  await odd.ready({ timeout: 20_000 });
  const even = connect(ours, options);
  t.teardown(() => even.close());
  await even.ready({ timeout: 20_000 });
  const said: unknown[] = [];
  even.subscribe('said', (payload) => said.push(payload));
  server.state('value').set({ n: 1 });
  t.is(server.broadcast('said', { n: 2 }), 1);
  await until('the other has both', () => even.state('value').value?.n === 1 && said.length === 1);
  const late = connect(theirs, options);
  t.teardown(() => late.close());
  await late.ready({ timeout: 20_000 });
  t.is(odd.status().state, 'connected');
  t.is(server.stats().clientsRefused, 0);
  t.false(odd.state('value').isKnown);
});

suite.over('a value longer than the app allows is invalid there, and the one before stays', async (t, transport) => {
  await suite.sidecar.ask('setBlob', 5);
  const client = await suite.connect(t, transport, { maxMessageBytes: 2000, ringBytes: { toClient: 4096 } });
  const blob = client.state('blob');
  await until('the first is here', () => blob.isKnown);
  const invalid: unknown[] = [];
  blob.on('invalid', (error) => invalid.push((error as { code?: string }).code));
  await suite.sidecar.ask('setBlob', 10_000);
  await until('it was told', () => invalid.length === 1);
  t.deepEqual(invalid, ['ERR_PILLION_TOO_LARGE']);
  t.is(blob.value?.length, 5);
  t.true(blob.isStale);
  await suite.sidecar.ask('setBlob', 6);
  await until('the next is here', () => blob.value?.length === 6);
  t.false(blob.isStale);
});

suite.over('a listener that throws is an uncaught exception of its own, and the state goes on', async (t, transport) => {
  const client = await suite.connect(t, transport);
  await suite.sidecar.ask('set', 'config', { version: 1 });
  await hasVersion(client, 1);
  client.state('config').once('change', () => {
    throw new Error('the listener of the test');
  });
  const uncaught = takeUncaught(t);
  await suite.sidecar.ask('set', 'config', { version: 2 });
  await until('it was thrown', () => uncaught.length === 1);
  await suite.sidecar.ask('set', 'config', { version: 3 });
  await hasVersion(client, 3);
  t.is(client.status().state, 'connected');
});

suite.over('what callSync reads on the way includes states', async (t, transport) => {
  const client = await suite.connect(t, transport);
  await suite.sidecar.ask('set', 'limit', 1);
  await until('the value is here', () => client.state('limit').value === 1);
  const set = suite.sidecar.ask('set', 'limit', 2);
  for (const end = Date.now() + 20_000; client.state('limit').value !== 2 && Date.now() < end; ) client.callSync('echo', 1);
  t.is(client.state('limit').value, 2);
  await set;
});

test.serial('1,000 values a second for 100 apps make nothing queue at the sidecar', async (t) => {
  const apps = await Promise.all(
    Array.from({ length: 100 }, (_, index) => suite.connect(t, index % 2 === 0 ? 'shm' : 'socket', { ringBytes: { toClient: 16_384 } })),
  );
  const most = await suite.sidecar.ask<number>('setMany', 2000, 1);
  for (const app of apps) await hasVersion(app, 2000);
  // A value that waits, waits alone: all of them together are less than one small ring.
  t.true(most <= 100 * 64, `${most} bytes waited`);
  t.is((await suite.sidecar.ask<{ queuedBytes: number }>('stats')).queuedBytes, 0);
});

suite.over('stopped apps neither make the sidecar grow nor hold up the others, and go on with the latest value', async (t, transport) => {
  const stopped = await Promise.all([1, 2].map(() => startFlowApp(t, suite.path, transport, { ringBytes: { toClient: 4096 } })));
  const awake = await suite.connect(t, transport);
  for (const app of stopped) app.signal('SIGSTOP');
  const before = await suite.sidecar.ask<Memory>('memory');
  const most = await suite.sidecar.ask<number>('setMany', 50_000, 500);
  for (let round = 1; round <= 30; round++) await suite.sidecar.ask('setBlob', 1_000_000 + round, round);
  await hasVersion(awake, 50_000);
  await until('the last blob is here', () => awake.state('blob').value?.length === 1_000_030);
  const after = await suite.sidecar.ask<Memory>('memory');
  t.true(most <= 1024, `${most} bytes waited`);
  const { queuedBytes } = await suite.sidecar.ask<{ queuedBytes: number }>('stats');
  t.true(queuedBytes <= 2 * 1_000_100, `${queuedBytes} bytes wait: one value each`);
  t.true(after.rss - before.rss < 200_000_000, `grew by ${after.rss - before.rss} bytes`);
  for (const app of stopped) {
    app.signal('SIGCONT');
    await until('it goes on with the latest', async () => {
      const { value } = await app.ask<{ value?: { version: number } }>('state', 'config');
      return value?.version === 50_000;
    });
  }
  await suite.sidecar.ask('setBlob', 0);
});
