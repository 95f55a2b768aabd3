import { AsyncLocalStorage } from 'node:async_hooks';
import { channel, subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import {
  type CallMessage,
  type Client,
  type ConnectionMessage,
  connect,
  type HandleMessage,
  type SendMessage,
  type Server,
  serve,
} from '../../src/index.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { withContext } from './fixtures/context-contract.js';
import { type ContextHandlers, handlers, noted } from './fixtures/context-handlers.js';
import { type Transport, transportOptions } from './fixtures/suite.js';

type D = (typeof withContext)['definitions'];

async function start(
  t: ExecutionContext,
  transport: Transport,
  own: Partial<ContextHandlers> = {},
): Promise<{ client: Client<D>; server: Server<D>; path: string }> {
  const path = socketPath();
  const server = await serve(withContext, { ...handlers, ...own }, { path });
  const client = connect(withContext, { path, ...transportOptions(transport) });
  t.teardown(async () => {
    await client.close();
    await server.close({ timeout: 100 });
  });
  await client.ready({ timeout: 20_000 });
  t.is(client.status().transport, transport);
  noted.splice(0);
  return { client, server, path };
}

const operations = ['pillion:call', 'pillion:handle'];
const steps = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];

/** What was published, in order, until the test ends. */
function listen(t: ExecutionContext, names: readonly string[]): { name: string; message: never }[] {
  const published: { name: string; message: never }[] = [];
  for (const name of names) {
    const listener = (message: unknown): void => void published.push({ name, message: message as never });
    subscribe(name, listener);
    t.teardown(() => unsubscribe(name, listener));
  }
  return published;
}

const listenToAll = (t: ExecutionContext) =>
  listen(
    t,
    operations.flatMap((name) => steps.map((step) => `${name}:${step}`)),
  );

function over(title: string, body: (t: ExecutionContext, transport: Transport) => Promise<void>): void {
  for (const transport of ['shm', 'socket'] as Transport[]) test.serial(`${transport}: ${title}`, (t) => body(t, transport));
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const headers = { user: 'ada' };

over('a call is told at both sides as a tracing channel tells it, with one message for all steps', async (t, transport) => {
  const { client } = await start(t, transport);
  const published = listenToAll(t);
  const result = await client.call('see', 'x', { headers });
  const names = (side: string) => published.filter(({ name }) => name.startsWith(side)).map(({ name }) => name.replace(`${side}:`, ''));
  t.deepEqual(names('pillion:call'), ['start', 'end', 'asyncStart', 'asyncEnd']);
  t.deepEqual(names('pillion:handle'), ['start', 'end'], 'the handler is synchronous');
  const messages = (side: string) => new Set(published.filter(({ name }) => name.startsWith(side)).map(({ message }) => message));
  const [call] = messages('pillion:call') as Set<CallMessage>;
  const [handle] = messages('pillion:handle') as Set<HandleMessage>;
  t.is(messages('pillion:call').size, 1);
  t.is(messages('pillion:handle').size, 1);
  t.like(call, { contract: 'with-context', name: 'see', kind: 'method', payload: 'x', isAsync: true, headers, result });
  t.like(handle, { contract: 'with-context', name: 'see', kind: 'method', isAsync: false, headers, result, redelivered: false });
  t.is(handle?.clientId.length, 36);
});

over('failures are told with their errors', async (t, transport) => {
  const later = { seeLater: () => Promise.reject(Object.assign(new Error('later'), { code: 'ERR_LATER' })) };
  const { client } = await start(t, transport, later);
  const published = listenToAll(t);
  const tell = async (work: Promise<unknown>): Promise<string[]> => {
    await t.throwsAsync(work);
    return published.splice(0).map(({ name }) => name.replace('pillion:', ''));
  };
  const near = (list: string[]): string[] => list.filter((name) => name.startsWith('call'));
  const far = (list: string[]): string[] => list.filter((name) => name.startsWith('handle'));
  const immediately = await tell(client.call('fail', 'now'));
  t.deepEqual(near(immediately), ['call:start', 'call:end', 'call:error', 'call:asyncStart', 'call:asyncEnd']);
  t.deepEqual(far(immediately), ['handle:start', 'handle:error', 'handle:end']);
  const eventually = await tell(client.call('seeLater', 1));
  t.deepEqual(far(eventually), ['handle:start', 'handle:end', 'handle:error', 'handle:asyncStart', 'handle:asyncEnd']);
  const refused = await tell(client.call('see', 1, { headers: { n: 5 as never } }));
  t.deepEqual(refused, [], 'what cannot be sent was no call');
  const aborted = await tell(client.call('see', 1, { signal: AbortSignal.abort(new Error('before')) }));
  t.is(near(aborted).length, 5);
});

over('streams are told from their opening to their end', async (t, transport) => {
  const { client } = await start(t, transport);
  const published = listenToAll(t);
  const took = async (work: () => Promise<unknown>): Promise<Record<string, string[]>> => {
    await work();
    await until('the end at the server', () => published.some(({ name }) => name === 'pillion:handle:asyncEnd'));
    const told = published.splice(0);
    const of = (side: string) => told.filter(({ name }) => name.startsWith(side)).map(({ name }) => name.slice(side.length + 1));
    return { call: of('pillion:call'), handle: of('pillion:handle') };
  };
  const whole = ['start', 'end', 'asyncStart', 'asyncEnd'];
  t.deepEqual(await took(() => all(client.stream('list', 1))), { call: whole, handle: whole });
  t.deepEqual(await took(() => client.upload('put', [1])), { call: whole, handle: whole });
  t.deepEqual(
    await took(async () => {
      const talk = client.duplexItems('talk');
      await talk.end();
      await all(talk);
    }),
    { call: whole, handle: whole },
  );
  const left = await took(async () => {
    for await (const _ of client.stream('list', 1)) break;
  });
  t.deepEqual(left['call'], whole);
});

over('events are told before they are sent, and while they are handled', async (t, transport) => {
  const { client } = await start(t, transport);
  const sent = listen(t, ['pillion:send']);
  const published = listenToAll(t);
  client.send('note', 'x', { headers });
  await client.sendWhenFree('note', 'y');
  client.send('lateNote', 1);
  await client.flush();
  const messages = sent.map(({ message }) => message as SendMessage);
  t.like(messages[0], { contract: 'with-context', name: 'note', kind: 'event', payload: 'x', headers, accepted: true });
  t.deepEqual(
    messages.map(({ accepted }) => accepted),
    [true, true, true],
  );
  t.deepEqual(
    published.map(({ name, message }) => `${name.replace('pillion:', '')} ${(message as HandleMessage).name}`),
    [
      ...['handle:start note', 'handle:end note', 'handle:start note', 'handle:end note', 'handle:start lateNote', 'handle:end lateNote'],
      ...['handle:asyncStart lateNote', 'handle:asyncEnd lateNote'],
    ],
  );
  await client.close();
  t.false(client.send('note', 'z'));
  t.like(sent.at(-1)?.message, { payload: 'z', accepted: false });
});

over('what a subscriber adds to the headers is sent, unless it does not fit', async (t, transport) => {
  const { client } = await start(t, transport);
  let addition = 'small';
  for (const name of ['pillion:call:start', 'pillion:send']) {
    const add = (message: unknown): void => {
      (message as CallMessage).headers['added'] = addition;
    };
    subscribe(name, add);
    t.teardown(() => unsubscribe(name, add));
  }
  const given = { headers };
  t.deepEqual((await client.call('see', 1, given)).headers, { user: 'ada', added: 'small' });
  t.deepEqual((await client.call('see', 1)).headers, { added: 'small' });
  t.deepEqual((await all(client.stream('list', 1, given)))[0]?.headers, { user: 'ada', added: 'small' });
  client.send('note', 1, given);
  addition = 'x'.repeat(9000);
  client.send('note', 2, given);
  t.deepEqual((await client.call('see', 1, given)).headers, headers);
  await client.flush();
  t.deepEqual(
    noted.splice(0).map((seen) => seen.headers),
    [{ user: 'ada', added: 'small' }, headers],
  );
  t.deepEqual(given, { headers: { user: 'ada' } });
});

over('handlers run within the stores and the wrapper of the start channel, to the end of what they do', async (t, transport) => {
  const stored = new AsyncLocalStorage<string>();
  const wrapped = new AsyncLocalStorage<number>();
  const values: unknown[] = [];
  const look = (): void => void values.push([stored.getStore(), wrapped.getStore()]);
  const { client } = await start(t, transport, {
    note: look,
    seeLater: async () => {
      await sleep(1);
      look();
      return undefined as never;
    },
    list: async function* () {
      look();
      yield undefined as never;
      await sleep(1);
      look();
    },
  });
  const started = channel('pillion:handle:start');
  started.bindStore(stored, (message) => (message as HandleMessage).name);
  const wrap = (message: unknown): void => {
    (message as HandleMessage).run = (work) => wrapped.run(5, work);
  };
  started.subscribe(wrap);
  t.teardown(() => {
    started.unsubscribe(wrap);
    started.unbindStore(stored);
  });
  client.send('note', 1);
  await client.call('seeLater', 1);
  await all(client.stream('list', 1));
  t.deepEqual(values, [
    ['note', 5],
    ['seeLater', 5],
    ['list', 5],
    ['list', 5],
  ]);
});

over('a subscriber that throws hurts neither side', async (t, transport) => {
  const { client } = await start(t, transport);
  const thrown: string[] = [];
  const fail = (): never => {
    throw new Error('a subscriber');
  };
  const names = ['pillion:call:start', 'pillion:handle:start', 'pillion:send'];
  for (const name of names) subscribe(name, fail);
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error.message));
  try {
    t.is((await client.call('see', 7)).value, 7);
    t.true(client.send('note', 8));
    await client.flush();
    await until('the exceptions of the subscribers', () => thrown.length >= 4);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
    for (const name of names) unsubscribe(name, fail);
  }
  t.deepEqual(
    noted.splice(0).map(({ value }) => value),
    [8],
  );
});

over('connections are told at both sides', async (t, transport) => {
  const published = listen(t, ['pillion:connect', 'pillion:disconnect']);
  const { server, path } = await start(t, transport);
  const told = (name: string, side: string) =>
    published
      .filter(({ name: own, message }) => own === `pillion:${name}` && (message as ConnectionMessage).side === side)
      .map(({ message }) => message as ConnectionMessage);
  for (const side of ['client', 'server']) {
    const [connected] = told('connect', side);
    t.like(connected, { contract: 'with-context', path, transport });
    t.is(connected?.clientId.length, 36);
  }
  t.is(told('connect', 'client')[0]?.clientId, told('connect', 'server')[0]?.clientId);
  await server.close({ timeout: 100 });
  await until('both have heard of the end', () => told('disconnect', 'client').length > 0 && told('disconnect', 'server').length > 0);
  t.is(told('disconnect', 'client')[0]?.reason, null);
});

test.serial('the channels make up a tracing channel of diagnostics_channel', async (t) => {
  const { client } = await start(t, 'shm');
  const channels = Object.fromEntries(steps.map((step) => [step, channel(`pillion:call:${step}`)]));
  const tracing = tracingChannel(channels as never);
  const seen: string[] = [];
  const subscribers = Object.fromEntries(steps.map((step) => [step, () => void seen.push(step)]));
  tracing.subscribe(subscribers as never);
  await client.call('see', 1);
  tracing.unsubscribe(subscribers as never);
  await client.call('see', 1);
  t.deepEqual(seen, ['start', 'end', 'asyncStart', 'asyncEnd']);
});
