import { pattern } from '../helpers/bytes.js';
import { Suite } from './fixtures/suite.js';

const suite = new Suite();

const values: unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 40,
  '',
  'plain',
  'é€😀',
  [],
  [1, 'two', null],
  {},
  { a: { b: [{ c: 'd' }] } },
  'x'.repeat(3000),
];

suite.over('calls return what the handler returned, in every codec', async (t, transport) => {
  const client = await suite.connect(t, transport);
  for (const value of values) {
    t.deepEqual(await client.call('echo', value), value);
    t.deepEqual(await client.call('echoJson', value), value);
  }
  t.deepEqual(new Uint8Array(await client.call('echoRaw', pattern(333))), pattern(333));
  t.is(await client.call('echoOwn', 'mixed Case'), 'mixed case');
  t.is(await client.call('echoOwn', ''), '');
});

suite.over('values that only msgpack knows keep their type', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const date = new Date('2026-11-22T10:00:00.123Z');
  t.deepEqual(await client.call('echo', date), date);
  t.deepEqual(new Uint8Array((await client.call('echo', pattern(70))) as Uint8Array), pattern(70));
  t.is(await client.call('echo', 2n ** 63n - 1n), 2n ** 63n - 1n);
  t.is(await client.call('echo', Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY);
});

suite.over('no value travels as undefined, in both directions', async (t, transport) => {
  const client = await suite.connect(t, transport);
  t.is(await client.call('echo', undefined), undefined);
  t.is(await client.call('echoJson', undefined), undefined);
  t.is(await client.call('nothingBack'), undefined);
});

suite.over('calls in flight together are each answered with their own value', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const calls = Array.from({ length: 500 }, (_, number) =>
    number % 3 === 0 ? client.call('later', { ms: (number * 7) % 40, value: number }) : (client.call('echo', number) as Promise<number>),
  );
  t.is(client.stats().callsPending, 500);
  t.deepEqual(
    await Promise.all(calls),
    Array.from({ length: 500 }, (_, number) => number),
  );
  t.is(client.stats().callsPending, 0);
  t.is(client.stats().callsSucceeded, 500);
});

suite.over('calls begun one after the other are each answered', async (t, transport) => {
  const client = await suite.connect(t, transport);
  for (let number = 0; number < 2000; number++) {
    if ((await client.call('echo', number)) !== number) return t.fail(`call ${number} got another answer`);
  }
  t.is(client.stats().callsSucceeded, 2000);
});

suite.over('an event before a call is handled before it', async (t, transport) => {
  const client = await suite.connect(t, transport);
  for (let number = 0; number < 50; number++) {
    t.true(client.send('note', { number }));
    await client.call('nothingBack');
    t.is((await suite.heardSoFar()).length, 1);
  }
});

suite.over('the handler is told who calls and how long it waits', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const first = await client.call('context', undefined, { timeout: 1234 });
  t.is(first.pid, process.pid);
  t.is(first.uid, process.getuid?.());
  t.is(first.runtime, `node ${process.versions.node}`);
  t.is(first.timeoutMs, 1234);
  const second = await client.call('context', undefined, { timeout: Number.POSITIVE_INFINITY });
  t.is(second.timeoutMs, 0);
  t.is(second.clientId, first.clientId);
});

suite.over('a request or response that cannot be encoded fails its call alone', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  await t.throwsAsync(client.call('echo', cycle), { code: 'ERR_PILLION_ENCODE' });
  await t.throwsAsync(
    client.call('echo', () => 1),
    { code: 'ERR_PILLION_ENCODE' },
  );
  await t.throwsAsync(client.call('echoJson', 1n), { code: 'ERR_PILLION_ENCODE' });
  await t.throwsAsync(client.call('unsendable', 'function'), { code: 'ERR_PILLION_ENCODE' });
  await t.throwsAsync(client.call('unsendable', 'cycle'), { code: 'ERR_PILLION_ENCODE' });
  t.is(await client.call('echo', 'still here'), 'still here');
});

suite.over('a name that the contract lacks rejects', async (t, transport) => {
  const client = await suite.connect(t, transport);
  await t.throwsAsync(client.call('nowhere' as 'echo', 1), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  await t.throwsAsync(client.call('note' as 'echo', 1), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  await t.throwsAsync(client.call('constructor' as 'echo', 1), { code: 'ERR_PILLION_UNKNOWN_NAME' });
});

suite.over('flush waits for calls that are still being written', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes: { toServer: 8192, toClient: 8192 } });
  const handled = async (): Promise<number> => (await suite.sidecar.ask<{ callsHandled: number }>('stats')).callsHandled;
  const before = await handled();
  const calls = Promise.allSettled([client.call('echoRaw', pattern(1_000_000)), client.call('echoRaw', pattern(10))]);
  await client.flush({ timeout: 20_000 });
  t.is((await handled()) - before, 2);
  await calls;
});
