import test, { type ExecutionContext } from 'ava';
import { type Client, connect } from '../../src/index.js';
import { type Child, startChild } from '../helpers/child.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { checked } from './fixtures/checked-contract.js';
import { type Transport, transportOptions } from './fixtures/suite.js';

type CheckedClient = Client<(typeof checked)['definitions']>;

interface Failure {
  name: string;
  code: string;
  message: string;
}

const path = socketPath();
let sidecar: Child;

test.before(async () => {
  sidecar = await startChild(new URL('./fixtures/checked-sidecar.js', import.meta.url), { args: [path] });
});
test.after.always(() => sidecar?.stop());

function over(title: string, body: (t: ExecutionContext, client: CheckedClient) => Promise<void>): void {
  for (const transport of ['shm', 'socket'] as Transport[]) {
    test.serial(`${transport}: ${title}`, async (t) => {
      const client = connect(checked, { path, ...transportOptions(transport) });
      t.teardown(() => client.close());
      await client.ready({ timeout: 20_000 });
      t.is(client.status().transport, transport);
      await sidecar.ask('takeFailures');
      await body(t, client);
      // Whatever was wrong with a message, the connection is as good as before.
      t.deepEqual(await client.call('greet', { token: 'x', answer: { name: 'still there' } }), { name: 'still there', age: 0 });
      t.is(client.stats().connections, 1);
    });
  }
}

/** Any value where the types allow only good ones. */
const any = (value: unknown): never => value as never;
const failures = (): Promise<Failure[]> => sidecar.ask<Failure[]>('takeFailures');
const code = 'ERR_PILLION_VALIDATION';

over('a handler gets what the schema makes of an event, and an event that is wrong is counted and released', async (t, client) => {
  const before = await sidecar.ask<{ handlerErrors: number }>('stats');
  t.true(client.send('note', any({ name: 'ada', age: '36', more: 1 })));
  t.true(client.send('note', any({ age: 1 })));
  t.true(client.send('note', any(['x'.repeat(200_000)])));
  t.true(client.send('note', { name: 'last' }));
  await client.flush({ timeout: 20_000 });
  t.deepEqual(await sidecar.ask('takeHeard'), [
    { name: 'ada', age: 36 },
    { name: 'last', age: 0 },
  ]);
  const failed = await failures();
  t.deepEqual(
    failed.map((failure) => [failure.name, failure.code]),
    [
      ['note', code],
      ['note', code],
    ],
  );
  t.regex(failed[0]?.message as string, /^"note": name: .*expected string/);
  t.is((await sidecar.ask<{ handlerErrors: number }>('stats')).handlerErrors, before.handlerErrors + 2);
  t.is(client.stats().bufferedBytes, 0);
});

over('a request that is wrong fails at the caller with the name and the field, and never reaches the handler', async (t, client) => {
  const error = await t.throwsAsync(client.call('greet', any({ token: 5, answer: { name: 'x' } })), { name: 'RemoteError', code });
  t.regex(error?.message as string, /^"greet": token: .*expected string/);
  t.throws(() => client.callSync('greet', any({})), { name: 'RemoteError', code });
  await t.throwsAsync(client.call('greet', any({ answer: 'x'.repeat(300_000) })), { name: 'RemoteError', code });
  t.deepEqual(
    (await failures()).map((failure) => failure.code),
    [code, code, code],
  );
});

over('an answer that is wrong fails at the caller, who found it', async (t, client) => {
  for (let round = 0; round < 5; round++) {
    const error = await t.throwsAsync(client.call('greet', { token: 'x', answer: { name: null } }), { name: 'PillionError', code });
    t.regex(error?.message as string, /^the answer to "greet": name: .*expected string/);
  }
  t.throws(() => client.callSync('greet', { token: 'x', answer: 5 }), { name: 'PillionError', code });
  await t.throwsAsync(client.call('greet', { token: 'x', answer: 'y'.repeat(300_000) }), { name: 'PillionError', code });
  t.deepEqual(await failures(), []);
  t.is(client.stats().callsFailed, 7);
});

over('a schema that throws, answers later or with nonsense fails its message alone', async (t, client) => {
  for (const [what, pattern] of [
    ['throw', /^"odd": its schema failed: the schema is broken$/],
    ['promise', /^"odd": its schema answered with a promise/],
    ['nonsense', /^"odd": its schema answered with nonsense/],
  ] as const) {
    await t.throwsAsync(client.call('odd', what), { name: 'RemoteError', code, message: pattern });
    client.send('oddNote', what);
  }
  t.is(await client.call('odd', 'fine'), 'fine');
  client.send('oddNote', 'fine');
  await client.flush({ timeout: 20_000 });
  t.deepEqual(await sidecar.ask('takeHeard'), ['fine']);
  t.is((await failures()).length, 6);
});

over('a stream ends at its first item that is wrong, and its request is checked like any', async (t, client) => {
  const got: unknown[] = [];
  const read = async (items: unknown[]): Promise<void> => {
    for await (const item of client.stream('list', items)) got.push(item);
  };
  await read([{ name: 'a', age: '1' }, { name: 'b' }]);
  t.deepEqual(got.splice(0), [
    { name: 'a', age: 1 },
    { name: 'b', age: 0 },
  ]);
  const error = await t.throwsAsync(read([{ name: 'a' }, { name: 5 }, { name: 'c' }]), { name: 'PillionError', code });
  t.regex(error?.message as string, /^an item of "list": name: /);
  t.deepEqual(got, [{ name: 'a', age: 0 }]);
  await t.throwsAsync(read(any('no list')), { name: 'RemoteError', code, message: /^"list": / });
});

over('an upload fails at its first item that is wrong, and its answer is checked', async (t, client) => {
  t.is(await client.upload('sum', [{ name: 'a', age: '1' }, { name: 'b' }, { name: 'c', age: 3 }]), 4);
  const error = await t.throwsAsync(client.upload('sum', [{ name: 'a' }, any({ name: null }), { name: 'c' }]), {
    name: 'RemoteError',
    code,
  });
  t.regex(error?.message as string, /^an item of "sum": name: /);
  await t.throwsAsync(client.upload('sum', [{ name: 'not a number' }]), { name: 'PillionError', code, message: /^the answer to "sum": / });
});

over('a duplex stream is checked in both directions', async (t, client) => {
  const talk = async (...people: unknown[]): Promise<string[]> => {
    const end = client.duplexItems('talk');
    void end.writeAll(people as never[]).catch(() => {});
    const names: string[] = [];
    for await (const name of end) names.push(name);
    return names;
  };
  t.deepEqual(await talk({ name: 'a' }, { name: 'b' }), ['a', 'b']);
  await t.throwsAsync(talk({ name: 'a' }, { name: 5 }), { name: 'RemoteError', code, message: /^an item of "talk": name: / });
  await t.throwsAsync(talk({ name: 'much too long' }), { name: 'PillionError', code, message: /^an item of "talk": / });
});

over('a state keeps its value and tells when a new one is wrong', async (t, client) => {
  const config = client.state('config');
  const problems: Error[] = [];
  const changes: unknown[] = [];
  config.on('invalid', (error) => problems.push(error)).on('change', (value) => changes.push(value));
  await sidecar.ask('setState', { name: 'first', age: '1' });
  await until('the first value', () => config.value?.name === 'first');
  await sidecar.ask('setState', { name: 5 });
  await until('the value that is wrong', () => problems.length === 1);
  t.is((problems[0] as { code?: string }).code, code);
  t.regex(problems[0]?.message as string, /^state "config": name: /);
  t.deepEqual(config.value, { name: 'first', age: 1 });
  await sidecar.ask('setState', { name: 'second' });
  await until('the next value', () => config.value?.name === 'second');
  t.deepEqual(changes.at(-1), { name: 'second', age: 0 });
});

over('a broadcast that is wrong reaches no listener and is counted', async (t, client) => {
  const heard: unknown[] = [];
  client.subscribe('news', (news) => heard.push(news));
  await sidecar.ask('broadcast', { name: 5 });
  await sidecar.ask('broadcast', { name: 'good', age: '7' });
  await until('the good news', () => heard.length > 0);
  t.deepEqual(heard, [{ name: 'good', age: 7 }]);
  t.like(client.stats(), { broadcastsReceived: 2, broadcastsFailed: 1 });
});
