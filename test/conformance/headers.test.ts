import test, { type ExecutionContext } from 'ava';
import { type Client, type ConnectOptions, connect } from '../../src/index.js';
import { digest, pattern } from '../helpers/bytes.js';
import { type Child, startChild } from '../helpers/child.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { type Seen, withContext } from './fixtures/context-contract.js';
import { type Transport, transportOptions } from './fixtures/suite.js';

type ContextClient = Client<(typeof withContext)['definitions']>;

const path = socketPath();
let sidecar: Child;

test.before(async () => {
  sidecar = await startSidecar(path);
});
test.after.always(() => sidecar?.stop());

function startSidecar(at: string): Promise<Child> {
  return startChild(new URL('./fixtures/context-sidecar.js', import.meta.url), { args: [at] });
}

function over(
  title: string,
  body: (t: ExecutionContext, client: ContextClient, transport: Transport) => Promise<void>,
  options: ConnectOptions = {},
): void {
  for (const transport of ['shm', 'socket'] as Transport[]) {
    test.serial(`${transport}: ${title}`, async (t) => {
      const client = connect(withContext, { path, ...transportOptions(transport), ...options });
      t.teardown(() => client.close());
      await client.ready({ timeout: 20_000 });
      t.is(client.status().transport, transport);
      await body(t, client, transport);
      t.is((await client.call('see', 1)).value, 1);
    });
  }
}

async function all(items: AsyncIterable<unknown>): Promise<unknown[]> {
  const list: unknown[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const noted = (): Promise<(Seen & { redelivered: boolean })[]> => sidecar.ask('takeNoted');
const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', user: 'ada ☂' };
const most = { a: 'x'.repeat(8192 - '{"a":""}'.length) };

over('every kind of message carries its headers to its handler', async (t, client) => {
  t.true(client.send('note', { n: 1 }, { headers }));
  await client.sendWhenFree('note', { n: 2 }, { headers });
  t.true(client.send('blob', pattern(100), { headers }));
  await client.flush();
  for (const { headers: seen, isFrozen, hasPrototype } of await noted())
    t.deepEqual({ seen, isFrozen, hasPrototype }, { seen: headers, isFrozen: true, hasPrototype: false });
  t.deepEqual((await client.call('see', 'x', { headers })).headers, headers);
  t.deepEqual(client.callSync('see', 'x', { headers }).headers, headers);
  const items: Seen[] = [];
  for await (const item of client.stream('list', 'x', { headers })) items.push(item);
  t.deepEqual(
    items.map((item) => [item.value, item.headers]),
    [
      ['x', headers],
      ['again', headers],
    ],
  );
  const put = await client.upload('put', [1, 2, 3], { headers });
  t.deepEqual([put.headers, put.items], [headers, [1, 2, 3]]);
  const talk = client.duplexItems('talk', { headers });
  void talk.writeAll(['a', 'b']);
  const [first, ...others] = await all(talk);
  t.deepEqual([(first as Seen).headers, others], [headers, ['a', 'b']]);
});

over('a message without headers has empty ones, the same object each time', async (t, client) => {
  t.true(client.send('note', 1, {}));
  t.true(client.send('note', 2, { headers: {} }));
  t.true(client.send('note', 3));
  await client.flush();
  for (const seen of await noted()) t.deepEqual([seen.names, seen.isFrozen, seen.hasPrototype], [[], true, false]);
  t.deepEqual((await client.call('see', 1, { timeout: 5000 })).names, []);
});

over('one message with headers says nothing of the next one', async (t, client) => {
  for (let n = 0; n < 200; n++) client.send('note', n, n % 2 === 0 ? { headers: { n: String(n) } } : undefined);
  await client.flush();
  t.deepEqual(
    (await noted()).map(({ value, headers: seen }) => [value, { ...seen }]),
    Array.from({ length: 200 }, (_, n) => [n, n % 2 === 0 ? { n: String(n) } : {}]),
  );
});

over('headers go with payloads of any size, empty ones and fragments included', async (t, client) => {
  for (const size of [0, 1, 7, 8, 9, 60_000, 65_515, 65_516, 70_000, 1_000_000]) {
    const bytes = pattern(size);
    t.is(digest(await client.call('echoRaw', bytes, { headers: most })), digest(bytes), `${size} bytes`);
    if (size > 200_000) continue;
    await client.sendWhenFree('blob', bytes, { headers });
    await client.flush();
    const [seen] = await noted();
    t.deepEqual([seen?.value, seen?.headers], [digest(bytes), headers]);
  }
  t.is((await client.call('see', undefined, { headers })).value, undefined);
});

over(
  'headers that are longer than a record open streams of every kind, and nothing overtakes the opening',
  async (t, client) => {
    for (let round = 0; round < 10; round++) {
      const talk = client.duplexItems('talk', { headers: most });
      const ended = talk.end();
      t.deepEqual(
        (await all(talk)).map((item) => (item as Seen).headers),
        [most],
      );
      await ended;
      t.deepEqual((await client.upload('put', [], { headers: most })).headers, most);
      const broken: AsyncIterable<unknown> = {
        [Symbol.asyncIterator]() {
          throw new Error('no source');
        },
      };
      await t.throwsAsync(client.upload('put', broken, { headers: most }), { message: 'no source' });
      t.is((await all(client.stream('list', 1, { headers: most }))).length, 2);
    }
    t.is(client.stats().streamsOpen, 0);
  },
  { ringBytes: { toServer: 4096 } },
);

over('what cannot be sent as headers is an error of the caller, and nothing is sent', async (t, client) => {
  const tooLarge = { a: 'x'.repeat(8192) };
  for (const [bad, code] of [
    [{ a: 5 }, 'ERR_PILLION_INVALID_ARGUMENT'],
    [['a'], 'ERR_PILLION_INVALID_ARGUMENT'],
    [null, 'ERR_PILLION_INVALID_ARGUMENT'],
    [tooLarge, 'ERR_PILLION_TOO_LARGE'],
  ] as const) {
    const options = { headers: bad as never };
    t.throws(() => client.send('note', 1, options), { code });
    t.throws(() => client.callSync('see', 1, options), { code });
    t.throws(() => client.stream('list', 1, options), { code });
    t.throws(() => client.duplexItems('talk', options), { code });
    await t.throwsAsync(client.sendWhenFree('note', 1, options), { code });
    await t.throwsAsync(client.call('see', 1, options), { code });
    await t.throwsAsync(client.upload('put', [1], options), { code });
  }
  await client.flush();
  t.deepEqual(await noted(), []);
  t.like(client.stats(), { eventsSent: 0, callsSent: 0, streamsOpen: 0 });
});

over('__proto__ is a header like any other', async (t, client) => {
  const seen = await client.call('see', 1, { headers: JSON.parse('{"__proto__":"x","constructor":"y"}') });
  t.deepEqual(seen.names, ['__proto__', 'constructor']);
  t.false(seen.hasPrototype);
});

over(
  'headers and payload together obey maxMessageBytes',
  async (t, client) => {
    t.throws(() => client.send('blob', pattern(1000), { headers: most }), { code: 'ERR_PILLION_TOO_LARGE' });
    t.true(client.send('blob', pattern(1000), { headers }));
    await client.flush();
    t.is((await noted()).length, 1);
  },
  { maxMessageBytes: 8192 },
);

over('broadcasts carry headers to their listeners', async (t, client) => {
  const heard: unknown[] = [];
  const frozen: boolean[] = [];
  for (const name of ['news', 'latest'] as const) {
    client.subscribe(name, (value, info) => {
      heard.push([value, { ...info.headers }]);
      frozen.push(Object.isFrozen(info) && Object.isFrozen(info.headers));
    });
  }
  await client.call('see', 1);
  await sidecar.ask('broadcast', 'news', 'a', headers);
  await sidecar.ask('broadcast', 'news', 'b');
  await sidecar.ask('broadcast', 'latest', 'c', most);
  const large = 'x'.repeat(300_000);
  await sidecar.ask('broadcast', 'news', large, headers);
  await until('all broadcasts', () => heard.length === 4);
  t.deepEqual(heard, [
    ['a', headers],
    ['b', {}],
    ['c', most],
    [large, headers],
  ]);
  t.deepEqual(frozen, [true, true, true, true]);
  await t.throwsAsync(sidecar.ask('broadcast', 'news', 'd', { a: 5 as never }), { message: /header "a" is of type number/ });
  await t.throwsAsync(sidecar.ask('broadcast', 'news', 'd', { a: 'x'.repeat(9000) }), { message: /the headers have/ });
});

for (const transport of ['shm', 'socket'] as const) {
  test.serial(
    `${transport}: headers survive the death of a sidecar, with the events and idempotent calls that they belong to`,
    async (t) => {
      const own = socketPath();
      const first = await startSidecar(own);
      t.teardown(() => first.stop());
      const client = connect(withContext, { path: own, ...transportOptions(transport) });
      t.teardown(() => client.close());
      await client.ready({ timeout: 20_000 });
      client.send('lateNote', 60_000, { headers: { n: '0' } });
      for (let n = 1; n <= 5; n++) client.send('note', n, { headers: { n: String(n) } });
      client.send('blob', pattern(150_000), { headers: most });
      const call = client.call('seeLater', 300, { headers, timeout: 60_000 });
      first.signal('SIGSTOP');
      first.signal('SIGKILL');
      await first.exited;
      const second = await startSidecar(own);
      t.teardown(() => second.stop());
      const { headers: seen, value } = await call;
      t.deepEqual([seen, value], [headers, second.pid]);
      const events: (Seen & { redelivered: boolean })[] = [];
      await until('the replayed events', async () => {
        events.push(...(await second.ask<typeof events>('takeNoted')));
        return events.length === 6;
      });
      t.deepEqual(
        events.map((event) => event.headers),
        [...[1, 2, 3, 4, 5].map((n) => ({ n: String(n) })), most],
      );
      t.true(events.every(({ redelivered }) => redelivered));
      t.is(events[5]?.value, digest(pattern(150_000)));
    },
  );
}
