import { setTimeout as sleep } from 'node:timers/promises';
import { broadcast, connect, contract, event, serve, state } from '../../src/index.js';
import { digest, pattern } from '../helpers/bytes.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { takeUncaught } from '../helpers/uncaught.js';
import { codecCalls, type News } from './fixtures/flow-contract.js';
import { FlowSuite, startFlowApp } from './fixtures/flow-suite.js';
import type { Transport } from './fixtures/suite.js';

const suite = new FlowSuite();
const SMALL_RING = { ringBytes: { toClient: 4096 } };

interface Stats {
  broadcastsSent: number;
  broadcastsDropped: number;
  clientsRefused: number;
  queuedBytes: number;
}

const stats = (): Promise<Stats> => suite.sidecar.ask('stats');
const tell = (name: string, payload: unknown, to?: string): Promise<number> => suite.sidecar.ask('broadcast', name, payload, to);

/** Waits until all clients of other tests have left. */
async function isAlone(): Promise<void> {
  await until('the others have left', async () => (await suite.sidecar.ask<unknown[]>('clients')).length === 0);
  await suite.sidecar.ask('takeDisconnects');
}

suite.over('a broadcast reaches every app that listens, in order', async (t, transport) => {
  await isAlone();
  const clients = await Promise.all([1, 2, 3].map(() => suite.connect(t, transport)));
  const heard = clients.map(() => [] as News[]);
  for (const [index, client] of clients.entries()) client.subscribe('news', (news) => heard[index]?.push(news));
  const before = await stats();
  for (let number = 1; number <= 100; number++) t.is(await tell('news', { number, text: 'é' }), 3);
  await until('all have heard', () => heard.every((news) => news.length === 100));
  for (const news of heard)
    t.deepEqual(
      news.map(({ number }) => number),
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
  t.deepEqual(heard[0]?.[0], { number: 1, text: 'é' });
  const after = await stats();
  t.is(after.broadcastsSent - before.broadcastsSent, 300);
  t.is(after.broadcastsDropped, before.broadcastsDropped);
  t.is(clients[0]?.stats().broadcastsReceived, 100);
});

suite.over('a broadcast can be for one client, or for those that a predicate picks', async (t, transport) => {
  await isAlone();
  const clients = await Promise.all([1, 2].map(() => suite.connect(t, transport)));
  const app = await startFlowApp(t, suite.path, transport);
  const heard = clients.map(() => [] as number[]);
  for (const [index, client] of clients.entries()) client.subscribe('news', ({ number }) => heard[index]?.push(number));
  const ids: string[] = [];
  for (const { clientId, peer } of await suite.sidecar.ask<{ clientId: string; peer: { pid: number } }[]>('clients'))
    if (peer.pid === process.pid) ids.push(clientId);
  t.is(ids.length, 2);
  t.is(await tell('news', { number: 1 }, ids[0]), 1);
  t.is(await tell('news', { number: 2 }, 'nobody'), 0);
  // Over the socket nobody vouches for a pid.
  const byPid = await suite.sidecar.ask<number>('broadcastToPid', 'news', { number: 3 }, app.pid);
  t.is(await tell('news', { number: 4 }), 3);
  await until('all have heard the last', () => heard.every((numbers) => numbers.includes(4)));
  t.deepEqual(heard.map((numbers) => numbers.join()).sort(), ['1,4', '4']);
  await until('the app has heard the last', async () => (await app.ask<News[]>('news', 'news')).some(({ number }) => number === 4));
  t.deepEqual(
    (await app.ask<News[]>('news', 'news')).map(({ number }) => number),
    byPid === 1 ? [3, 4] : [4],
  );
});

suite.over('a broadcast is encoded once, however many apps there are, and decoded by those that listen', async (t, transport) => {
  const clients = await Promise.all(Array.from({ length: 5 }, () => suite.connect(t, transport)));
  const listening = clients.slice(0, 2);
  let heard = 0;
  for (const client of listening) client.subscribe('countedNews', () => heard++);
  // Two listeners of one app share what was decoded.
  listening[0]?.subscribe('countedNews', () => heard++);
  const before = await suite.sidecar.ask<{ encoded: number }>('codecCalls');
  const decoded = codecCalls.decoded;
  for (let i = 0; i < 10; i++) await tell('countedNews', `text ${i}`);
  await until('all have heard', () => heard === 30);
  for (const client of clients) await client.call('echo', 1);
  t.is((await suite.sidecar.ask<{ encoded: number }>('codecCalls')).encoded - before.encoded, 10);
  t.is(codecCalls.decoded - decoded, 20);
  t.is(clients[4]?.stats().broadcastsReceived, 0);
});

suite.over('whoever unsubscribes, or aborts, hears no more; the same function may be subscribed twice', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const heard: string[] = [];
  const listener = ({ number }: News): void => void heard.push(`twice ${number}`);
  const end = client.subscribe('news', listener);
  client.subscribe('news', listener);
  const controller = new AbortController();
  client.subscribe('news', ({ number }) => heard.push(`signal ${number}`), { signal: controller.signal });
  client.subscribe('news', ({ number }) => heard.push(`never ${number}`), { signal: AbortSignal.abort() });
  await tell('news', { number: 1 });
  await until('the first was heard', () => heard.length === 3);
  end();
  end();
  controller.abort();
  await tell('news', { number: 2 });
  await until('the second was heard', () => heard.length === 4);
  t.deepEqual(heard, ['twice 1', 'twice 1', 'signal 1', 'twice 2']);
  t.throws(() => client.subscribe('nowhere' as 'news', () => {}), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  t.throws(() => client.subscribe('config' as 'news', () => {}), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  t.throws(() => client.subscribe('news', null as unknown as () => void), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
});

suite.over('a listener that was ended by one before it is not told, one that was added hears the next', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const heard: string[] = [];
  let isFirst = true;
  client.subscribe('news', ({ number }) => {
    heard.push(`one ${number}`);
    if (!isFirst) return;
    isFirst = false;
    end();
    client.subscribe('news', (news) => heard.push(`three ${news.number}`));
  });
  const end = client.subscribe('news', ({ number }) => heard.push(`two ${number}`));
  await tell('news', { number: 1 });
  await tell('news', { number: 2 });
  await until('both were heard', () => heard.includes('three 2'));
  t.deepEqual(heard, ['one 1', 'one 2', 'three 2']);
});

suite.over('a listener that throws is an uncaught exception of its own, is counted, and harms nobody else', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const uncaught = takeUncaught(t);
  const heard: number[] = [];
  client.subscribe('news', () => {
    throw new Error('the listener of the test');
  });
  client.subscribe('news', ({ number }) => heard.push(number));
  await tell('news', { number: 1 });
  await tell('news', { number: 2 });
  await until('both were heard', () => heard.length === 2);
  await until('both were thrown', () => uncaught.length === 2);
  t.is(client.stats().broadcastsFailed, 2);
  t.is(client.stats().broadcastsReceived, 2);
  t.is(await client.call('echo', 'still here'), 'still here');
});

suite.over(
  'a payload that cannot be decoded, or is longer than the app allows, is counted and nobody hears of it',
  async (t, transport) => {
    const client = await suite.connect(t, transport, { maxMessageBytes: 2000, ...SMALL_RING });
    const heard: unknown[] = [];
    client.subscribe('countedNews', (text) => heard.push(text));
    client.subscribe('blobNews', (bytes) => heard.push(bytes.length));
    await tell('countedNews', 'unreadable');
    await suite.sidecar.ask('broadcastBlob', 'blobNews', 10_000);
    await tell('countedNews', 'readable');
    await until('what can be read is here', () => heard.length === 1 && client.stats().broadcastsFailed === 2);
    t.deepEqual(heard, ['readable']);
  },
);

suite.over('a large broadcast travels in fragments, and arrives whole among small ones', async (t, transport) => {
  const client = await suite.connect(t, transport, SMALL_RING);
  const heard: string[] = [];
  const small: number[] = [];
  client.subscribe('blobNews', (bytes) => heard.push(digest(bytes)));
  client.subscribe('news', ({ number }) => small.push(number));
  const expected: string[] = [];
  for (const [seed, length] of [1008, 1009, 50_000, 2_000_000].entries()) {
    await suite.sidecar.ask('broadcastBlob', 'blobNews', length, seed);
    expected.push(digest(pattern(length, seed)));
    await until(`${length} bytes are here`, () => heard.length === seed + 1);
    await tell('news', { number: seed });
  }
  await until('the small ones are here', () => small.length === 4);
  t.deepEqual(heard, expected);
});

suite.over('a small broadcast overtakes a large answer, and is not dropped because of it', async (t, transport) => {
  await isAlone();
  const client = await suite.connect(t, transport, { ringBytes: { toServer: 65_536, toClient: 65_536 } });
  const heard: number[] = [];
  client.subscribe('news', ({ number }) => heard.push(number));
  const before = await stats();
  const answer = client.call('echoRaw', pattern(16_000_000), { timeout: 60_000 });
  let sent = 0;
  for (let isDone = false; !isDone; ) {
    sent += await tell('news', { number: sent });
    isDone = await Promise.race([answer.then(() => true), sleep(1, false)]);
  }
  await until('all that were accepted are here', () => heard.length === sent);
  t.is((await stats()).broadcastsDropped, before.broadcastsDropped);
});

/** An app that is stopped, and one that is not. */
async function oneStopped(t: Parameters<Parameters<FlowSuite['over']>[1]>[0], transport: Transport) {
  await isAlone();
  const stopped = await startFlowApp(t, suite.path, transport, SMALL_RING);
  const awake = await suite.connect(t, transport);
  stopped.signal('SIGSTOP');
  return { stopped, awake };
}

suite.over('what a stopped app has no room for is dropped and counted, and the others notice nothing', async (t, transport) => {
  const { stopped, awake } = await oneStopped(t, transport);
  const heard: number[] = [];
  awake.subscribe('news', ({ number }) => heard.push(number));
  const before = await stats();
  const count = 2000;
  let accepted = 0;
  for (let number = 1; number <= count; number++) accepted += await tell('news', { number, text: 'x'.repeat(500) });
  await until('the other has heard all', () => heard.length === count);
  const after = await stats();
  const dropped = after.broadcastsDropped - before.broadcastsDropped;
  t.true(dropped > 0);
  t.is(accepted + dropped, 2 * count);
  t.is(after.broadcastsSent - before.broadcastsSent, accepted);
  t.is(after.queuedBytes, 0);
  stopped.signal('SIGCONT');
  await until('it has heard what was accepted', async () => (await stopped.ask<News[]>('news', 'news')).length === accepted - count);
  const numbers = (await stopped.ask<News[]>('news', 'news')).map(({ number }) => number);
  t.deepEqual(
    numbers,
    Array.from({ length: accepted - count }, (_, i) => i + 1),
  );
  t.is(await tell('news', { number: count + 1 }), 2, 'it is listened to again');
});

suite.over('of broadcasts of which the latest counts, a stopped app gets that one', async (t, transport) => {
  const { stopped, awake } = await oneStopped(t, transport);
  const heard: number[] = [];
  awake.subscribe('latestNews', ({ number }) => heard.push(number));
  const before = await stats();
  const count = 2000;
  for (let number = 1; number <= count; number++) t.is(await tell('latestNews', { number, text: 'x'.repeat(500) }), 2);
  for (let seed = 1; seed <= 5; seed++) t.is(await suite.sidecar.ask('broadcastBlob', 'latestBlob', 100_000, seed), 2);
  await until('the other has heard the last', () => heard.at(-1) === count);
  const after = await stats();
  t.true(after.queuedBytes <= 100_100, `${after.queuedBytes} bytes wait`);
  const replaced = after.broadcastsDropped - before.broadcastsDropped;
  t.true(replaced > 0);
  stopped.signal('SIGCONT');
  await until('it has the last one', async () => (await stopped.ask<News[]>('news', 'latestNews')).at(-1)?.number === count);
  await until('it has the last blob', async () => {
    const blobs = await stopped.ask<string[]>('news', 'latestBlob');
    return blobs.at(-1) === digest(pattern(100_000, 5));
  });
  const numbers = (await stopped.ask<News[]>('news', 'latestNews')).map(({ number }) => number);
  const blobs = await stopped.ask<string[]>('news', 'latestBlob');
  t.deepEqual(
    [...numbers].sort((a, b) => a - b),
    numbers,
  );
  t.is(heard.length + numbers.length + 5 + blobs.length + replaced, 2 * count + 10, 'each one was heard, or replaced and counted');
});

suite.over('an app that does not read what must not be missed is disconnected, and comes back', async (t, transport) => {
  const { stopped, awake } = await oneStopped(t, transport);
  const heard: number[] = [];
  awake.subscribe('vitalNews', ({ number }) => heard.push(number));
  const before = await stats();
  let number = 0;
  while ((await tell('vitalNews', { number: ++number, text: 'x'.repeat(500) })) === 2) {
    t.true(number < 100_000);
  }
  await until('the sidecar has said why', async () =>
    (await suite.sidecar.ask<string[]>('takeDisconnects')).includes('ERR_PILLION_SLOW_CLIENT'),
  );
  const after = await stats();
  t.is(after.broadcastsDropped - before.broadcastsDropped, 1);
  t.is(after.clientsRefused - before.clientsRefused, 1);
  t.is(await tell('vitalNews', { number: ++number }), 1);
  await until('the other has heard all', () => heard.length === number);
  stopped.signal('SIGCONT');
  await until('it is back', async () => (await suite.sidecar.ask<unknown[]>('clients')).length === 2);
  t.is(await stopped.ask('disconnects'), 1);
  t.is(await stopped.ask('echo', 'again'), 'again');
  t.is(await tell('vitalNews', { number: ++number }), 2);
});

suite.over('an app that keeps its thread busy misses what its ring has no room for, and hears the rest', async (t, transport) => {
  await isAlone();
  const client = await suite.connect(t, transport, SMALL_RING);
  const heard: number[] = [];
  client.subscribe('news', ({ number }) => heard.push(number));
  const telling = Array.from({ length: 500 }, (_, number) => tell('news', { number, text: 'x'.repeat(900) }));
  // The questions are written to the test's own channel before the thread is blocked.
  await sleep(1);
  for (const end = performance.now() + 300; performance.now() < end; );
  const accepted = (await Promise.all(telling)).reduce((sum, one) => sum + one, 0);
  await until('all that were accepted are here', () => heard.length === accepted);
  t.deepEqual(
    [...heard].sort((a, b) => a - b),
    heard,
  );
});

suite.over('names that an app does not have, or has as something else, are not sent to it and not counted', async (t, transport) => {
  const newer = contract('ages', {
    news: broadcast<number>(),
    later: broadcast<number>(),
    value: state<number>(),
    changed: broadcast<number>(),
  });
  const older = contract('ages', {
    news: broadcast<number>(),
    changed: event<number>(),
    gone: broadcast<number>(),
    old: state<number>({ default: 3 }),
  });
  const path = socketPath();
  const server = await serve(newer, {}, { path });
  t.teardown(() => server.close());
  const client = connect(older, { path, transport: transport === 'shm' ? 'auto' : 'socket' });
  t.teardown(() => client.close());
  await client.ready({ timeout: 20_000 });
  const heard: number[] = [];
  client.subscribe('news', (number) => heard.push(number));
  client.subscribe('gone', (number) => heard.push(-number));
  server.state('value').set(1);
  t.is(server.broadcast('later', 1), 0);
  t.is(server.broadcast('changed', 1), 0);
  t.is(server.broadcast('news', 2), 1);
  await until('what both know is heard', () => heard.length > 0);
  t.deepEqual(heard, [2]);
  t.is(client.state('old').value, 3);
  t.true(client.state('old').isStale);
  const { broadcastsSent, broadcastsDropped } = server.stats();
  t.deepEqual({ broadcastsSent, broadcastsDropped }, { broadcastsSent: 1, broadcastsDropped: 0 });
  t.is(client.status().state, 'connected');
});

suite.over('what is wrong with a broadcast itself throws, and nobody gets it', async (t, transport) => {
  const said = contract('said', {
    json: broadcast<unknown>({ codec: 'json' }),
    raw: broadcast<Uint8Array>({ codec: 'raw' }),
    value: state(),
  });
  const path = socketPath();
  const server = await serve(said, {}, { path, maxMessageBytes: 1000 });
  t.teardown(() => server.close());
  const clients = [1, 2].map(() => connect(said, { path, transport: transport === 'shm' ? 'auto' : 'socket' }));
  for (const client of clients) t.teardown(() => client.close());
  for (const client of clients) await client.ready({ timeout: 20_000 });
  t.throws(() => server.broadcast('json', () => 1), { code: 'ERR_PILLION_ENCODE' });
  t.throws(() => server.broadcast('raw', pattern(1001)), { code: 'ERR_PILLION_TOO_LARGE' });
  t.throws(() => server.broadcast('nowhere' as 'raw', pattern(1)), { code: 'ERR_PILLION_UNKNOWN_NAME', message: /json, raw/ });
  t.throws(() => server.broadcast('value' as 'raw', pattern(1)), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  let asked = 0;
  const picky = (): boolean => {
    if (++asked === 2) throw new Error('the predicate of the test');
    return true;
  };
  t.throws(() => server.broadcast('json', 1, { to: picky }), { message: 'the predicate of the test' });
  t.is(server.stats().broadcastsSent, 0);
  await server.close();
  t.is(server.broadcast('json', 1), 0);
});
