import test, { type ExecutionContext } from 'ava';
import { type Client, type ConnectOptions, connect, contract, event, method, type RemoteError } from '../../src/index.js';
import { type Fault, fault } from '../fixtures/node/contract.js';
import { checkNoChildren, checkResources, type Program, place, resourcesOf, startSidecar, until } from '../fixtures/node/program.js';

/** Wrong values, wrong names, failing handlers, calls that are given up. The connection outlives all of them. */

test.afterEach.always('no child is left', checkNoChildren);

type ServerStats = Record<'callsHandled' | 'eventsHandled' | 'eventsUnknown' | 'handlerErrors' | 'connections', number>;

async function pair(
  t: ExecutionContext,
  transport: 'auto' | 'socket',
  options: ConnectOptions = {},
): Promise<{ sidecar: Program; client: Client<Fault>; path: string }> {
  const { path } = place(t);
  const sidecar = await startSidecar(t, { path, maxMessageBytes: 1024 * 1024 });
  const client = connect(fault, { path, transport, ...options });
  t.teardown(() => client.close());
  await client.ready({ timeout: 20_000 });
  return { sidecar, client, path };
}

/** The connection is the first one, and works. */
async function stillGood(t: ExecutionContext, client: Client<Fault>): Promise<void> {
  t.is(await client.call('echo', 'good', { timeout: 10_000 }), 'good');
  t.is(client.stats().connections, 1);
  t.is(client.stats().callsPending, 0);
}

for (const transport of ['auto', 'socket'] as const) {
  const over = `over ${transport === 'auto' ? 'shm' : 'socket'}`;

  test.serial(`${over}: names that the contract lacks fail at once, names that the sidecar lacks fail alone`, async (t) => {
    const { client, sidecar, path } = await pair(t, transport);
    const untyped = client as unknown as {
      send(name: string): boolean;
      call(name: string): Promise<unknown>;
      callSync(name: string): unknown;
    };
    for (const name of ['nothing', 'echo', '__proto__', 'constructor', ''])
      t.throws(() => untyped.send(name), { code: 'ERR_PILLION_UNKNOWN_NAME' });
    await t.throwsAsync(untyped.call('log'), { code: 'ERR_PILLION_UNKNOWN_NAME' });
    t.throws(() => untyped.callSync('toString'), { code: 'ERR_PILLION_UNKNOWN_NAME' });
    await stillGood(t, client);

    const newer = contract('fault', {
      added: event<number>(),
      log: method<number, number>(),
      constructor: method<number, number>(),
      echo: method<unknown, unknown>({ codec: 'json' }),
      add: method<unknown, unknown>({ codec: { name: 'secret', encode: () => new Uint8Array(3), decode: () => null } }),
    });
    const other = connect(newer, { path, transport });
    t.teardown(() => other.close());
    for (const name of ['log', 'constructor', 'add'] as const) {
      await t.throwsAsync(other.call(name, 1), { code: 'ERR_PILLION_UNKNOWN_NAME', message: new RegExp(name) });
    }
    t.true(other.send('added', 1));
    t.deepEqual(await other.call('echo', { over: 'json' }), { over: 'json' });
    await other.flush({ timeout: 10_000 });
    t.is((await sidecar.ask<ServerStats>('stats')).eventsUnknown, 1);
    t.is(other.stats().connections, 1);
  });

  test.serial(`${over}: a client of another contract is refused with both names and keeps trying`, async (t) => {
    const { path } = await pair(t, transport);
    const other = connect(contract('another', { log: event<number>() }), { path, transport });
    t.teardown(() => other.close());
    t.true(other.send('log', 1));
    const error = await t.throwsAsync(other.ready({ timeout: 300 }), { code: 'ERR_PILLION_TIMEOUT' });
    const cause = error?.cause as { code: string; message: string } | undefined;
    t.is(cause?.code, 'ERR_PILLION_CONTRACT');
    t.regex(String(cause?.message), /fault.*another|another.*fault/);
  });

  test.serial(`${over}: what is too large for a limit is refused before it is sent, and the limit is named`, async (t) => {
    const { client } = await pair(t, transport, { maxMessageBytes: 2 * 1024 * 1024 });
    t.throws(() => client.send('blob', new Uint8Array(3 * 1024 * 1024)), { code: 'ERR_PILLION_TOO_LARGE', message: /maxMessageBytes/ });
    // Fits the limit, but no event can be longer than its ring.
    t.throws(() => client.send('blob', new Uint8Array(300 * 1024)), { code: 'ERR_PILLION_TOO_LARGE', message: /ringBytes/ });
    await t.throwsAsync(client.call('echo', new Uint8Array(3 * 1024 * 1024)), { code: 'ERR_PILLION_TOO_LARGE' });
    t.throws(() => client.callSync('echo', new Uint8Array(3 * 1024 * 1024)), { code: 'ERR_PILLION_TOO_LARGE' });
    // The sidecar has said that it takes 1 MiB at most.
    await t.throwsAsync(client.call('echo', new Uint8Array(1536 * 1024)), { code: 'ERR_PILLION_TOO_LARGE' });
    await stillGood(t, client);
    t.is(((await client.call('echo', new Uint8Array(1000 * 1024))) as Uint8Array).length, 1000 * 1024);
  });

  test.serial(`${over}: an answer that is too large for either side is an error of its call`, async (t) => {
    const { client } = await pair(t, transport, { maxMessageBytes: 64 * 1024 });
    await t.throwsAsync(client.call('fail', 'large'), { code: 'ERR_PILLION_TOO_LARGE' });
    await stillGood(t, client);
  });

  test.serial(`${over}: values that cannot be sent throw ERR_PILLION_ENCODE and leave nothing behind`, async (t) => {
    const { client, sidecar } = await pair(t, transport);
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const bad: [string, unknown][] = [
      ['function', () => 1],
      ['nested function', { deep: [() => 1] }],
      ['symbol', Symbol('x')],
      ['nested symbol', { deep: Symbol('x') }],
      ['cycle', cycle],
      [
        'getter',
        Object.defineProperty({}, 'x', {
          enumerable: true,
          get: () => {
            throw new Error('no');
          },
        }),
      ],
      [
        'toJSON',
        {
          toJSON: () => {
            throw new Error('no');
          },
        },
      ],
      ['very deep', deep(100_000)],
    ];
    for (const [what, value] of bad) {
      t.throws(() => client.send('note', value), { code: 'ERR_PILLION_ENCODE' }, what);
      await t.throwsAsync(client.call('echo', value), { code: 'ERR_PILLION_ENCODE' }, what);
      t.throws(() => client.callSync('echo', value), { code: 'ERR_PILLION_ENCODE' }, what);
    }
    for (const value of ['text', 5, null, undefined, {}, new Uint16Array(2), new ArrayBuffer(2)]) {
      t.throws(() => client.send('blob', value as Uint8Array), { code: 'ERR_PILLION_ENCODE' });
    }
    await stillGood(t, client);
    t.is((await sidecar.ask<ServerStats>('stats')).eventsHandled, 0);
    t.is(client.stats().bufferedBytes, 0);
  });

  test.serial(`${over}: whatever a handler throws becomes an error of its call, and nothing else`, async (t) => {
    const { client, sidecar } = await pair(t, transport);
    const expected: Record<string, { code: string; message?: RegExp; remoteName?: string }> = {
      throw: { code: 'ERR_PILLION_HANDLER', message: /^thrown as asked$/, remoteName: 'TypeError' },
      reject: { code: 'E_ASKED', message: /^rejected as asked$/ },
      string: { code: 'ERR_PILLION_HANDLER', message: /^a string$/ },
      undefined: { code: 'ERR_PILLION_HANDLER' },
      null: { code: 'ERR_PILLION_HANDLER' },
      number: { code: 'ERR_PILLION_HANDLER' },
      symbolText: { code: 'ERR_PILLION_HANDLER' },
      noText: { code: 'ERR_PILLION_HANDLER' },
      getter: { code: 'ERR_PILLION_HANDLER' },
      thenable: { code: 'ERR_PILLION_HANDLER', message: /thrown by then/ },
      function: { code: 'ERR_PILLION_ENCODE' },
      symbol: { code: 'ERR_PILLION_ENCODE' },
      cycle: { code: 'ERR_PILLION_ENCODE' },
    };
    for (const [how, { code, message, remoteName }] of Object.entries(expected)) {
      const error = (await t.throwsAsync(client.call('fail', how, { timeout: 5000 }), undefined, how)) as RemoteError;
      t.is(error.code, code, `${how}: ${error.message}`);
      t.is(error.name, 'RemoteError', how);
      if (message !== undefined) t.regex(error.message, message, how);
      if (remoteName !== undefined) t.is(error.remoteName, remoteName);
      t.is(error.remoteStack, undefined);
      t.throws(() => client.callSync('fail', how, { timeout: 5000 }), { code }, `callSync ${how}`);
      await stillGood(t, client);
    }
    const { handlerErrors } = await sidecar.ask<ServerStats>('stats');
    t.is(handlerErrors, 2 * Object.keys(expected).length);
  });

  test.serial(`${over}: an event whose handler fails is done; those after it are handled`, async (t) => {
    const { client, sidecar } = await pair(t, transport);
    const ways = ['throw', 'reject', 'string', 'undefined', 'null', 'number', 'symbolText', 'noText', 'getter'];
    for (const how of ways) t.true(client.send('note', how));
    t.true(client.send('note', 'fine'));
    await client.flush({ timeout: 10_000 });
    const stats = await sidecar.ask<ServerStats>('stats');
    t.is(stats.eventsHandled, ways.length + 1);
    await stillGood(t, client);
  });

  test.serial(`${over}: a call that is never answered times out or is aborted, and its handler is told`, async (t) => {
    const { client, sidecar } = await pair(t, transport);
    await t.throwsAsync(client.call('never', 1, { timeout: 100 }), { code: 'ERR_PILLION_TIMEOUT', message: /100 ms/ });
    await sidecar.next('aborted');
    t.throws(() => client.callSync('never', 1, { timeout: 100 }), { code: 'ERR_PILLION_TIMEOUT' });
    await sidecar.next('aborted');

    const before = new AbortController();
    const reason = new Error('mine');
    before.abort(reason);
    t.is(await t.throwsAsync(client.call('never', 1, { signal: before.signal })), reason);
    t.is((await sidecar.ask<ServerStats>('stats')).callsHandled, 2, 'a call that was aborted before is never made');

    const during = new AbortController();
    const call = client.call('never', 1, { signal: during.signal });
    await until('it has arrived', async () => (await sidecar.ask<ServerStats>('stats')).callsHandled === 3);
    during.abort(reason);
    t.is(await t.throwsAsync(call), reason);
    await sidecar.next('aborted');

    const atOnce = new AbortController();
    const short = client.call('never', 1, { signal: atOnce.signal });
    atOnce.abort(reason);
    t.is(await t.throwsAsync(short), reason);

    const after = new AbortController();
    t.is(await client.call('echo', 1, { signal: after.signal }), 1);
    after.abort(reason);
    await stillGood(t, client);
  });

  test.serial(`${over}: answers that cross the abort of their call do no harm`, async (t) => {
    const { client } = await pair(t, transport);
    let answered = 0;
    for (let round = 0; round < 300; round++) {
      const abort = new AbortController();
      const call = client.call('slow', 1, { signal: abort.signal });
      setTimeout(() => abort.abort(), round % 3);
      await call.then(
        () => answered++,
        (error: Error) => t.is(error.name, 'AbortError'),
      );
    }
    t.log(`${answered} of 300 were answered`);
    await stillGood(t, client);
  });

  test.serial(`${over}: close() during calls rejects them, and all that comes later, with ERR_PILLION_CLOSED`, async (t) => {
    const before = resourcesOf(process.pid);
    const { client, sidecar } = await pair(t, transport);
    const calls = ['never', 'echo', 'never'].map((name) => client.call(name as 'echo', 1));
    const flushing = client.flush();
    const rejections = [...calls, flushing].map((promise) => t.throwsAsync(promise, { code: 'ERR_PILLION_CLOSED' }));
    await Promise.all([client.close(), client.close()]);
    await Promise.all(rejections);
    t.false(client.send('log', 1));
    await t.throwsAsync(client.call('echo', 1), { code: 'ERR_PILLION_CLOSED' });
    t.throws(() => client.callSync('echo', 1), { code: 'ERR_PILLION_CLOSED' });
    await t.throwsAsync(client.ready(), { code: 'ERR_PILLION_CLOSED' });
    await t.throwsAsync(client.flush(), { code: 'ERR_PILLION_CLOSED' });
    t.is(client.status().state, 'closed');
    t.is(client.stats().callsPending, 0);
    await sidecar.next('disconnect');
    await sidecar.kill();
    await checkResources(t, process.pid, before);
  });

  test.serial(`${over}: events accepted before close() are handled`, async (t) => {
    const { client, sidecar } = await pair(t, transport);
    let accepted = 0;
    for (let i = 0; i < 3000; i++) if (client.send('note', i)) accepted++;
    await client.close();
    await sidecar.next('disconnect');
    t.is((await sidecar.ask<ServerStats>('stats')).eventsHandled, accepted);
  });
}

test('options that can never work throw ERR_PILLION_INVALID_ARGUMENT', (t) => {
  const bad: ConnectOptions[] = [
    { ringBytes: { toServer: 5000 } },
    { ringBytes: { toClient: 2048 } },
    { maxMessageBytes: -1 },
    { callTimeoutMs: 0 },
    { callTimeoutMs: Number.NaN },
    { transport: 'pigeon' as 'socket' },
    { wait: 'sometimes' as 'spin' },
    { path: '' },
    { path: 5 as unknown as string },
  ];
  for (const options of bad) t.throws(() => connect(fault, { path: '/tmp/x.sock', ...options }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
});

function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = [value];
  return value;
}
