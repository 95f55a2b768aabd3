import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { rejectsAborted } from '../helpers/abort.js';
import { until } from '../helpers/deadline.js';
import { Suite } from './fixtures/suite.js';

const suite = new Suite();

async function hasBegun(label: string): Promise<void> {
  await until(`${label} has begun`, async () => (await suite.sidecar.ask<string[]>('takeBegun')).includes(label));
}

async function isAborted(label: string): Promise<void> {
  await until(`${label} is aborted`, async () => (await suite.sidecar.ask<string[]>('takeAborted')).includes(label));
}

suite.over("a call that nobody answers rejects after its timeout and aborts the handler's signal", async (t, transport) => {
  const client = await suite.connect(t, transport);
  const label = `timeout ${transport}`;
  await t.throwsAsync(client.call('hang', label, { timeout: 30 }), { code: 'ERR_PILLION_TIMEOUT', message: /hang/ });
  await isAborted(label);
  t.is(client.stats().callsPending, 0);
  t.is(client.stats().callsFailed, 1);
});

suite.over('each of several timeouts counts for its own call', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const order: number[] = [];
  const calls = [90, 10, 50].map((timeout) =>
    client.call('hang', 'one of several', { timeout }).catch(() => {
      order.push(timeout);
    }),
  );
  const answered = client.call('later', { ms: 20, value: 1 }, { timeout: 20_000 });
  await Promise.all(calls);
  t.deepEqual(order, [10, 50, 90]);
  t.is(await answered, 1);
});

suite.over('the default timeout is that of the client', async (t, transport) => {
  const client = await suite.connect(t, transport, { callTimeoutMs: 30 });
  await t.throwsAsync(client.call('hang', 'default'), { code: 'ERR_PILLION_TIMEOUT' });
  t.throws(() => client.callSync('hang', 'default'), { code: 'ERR_PILLION_TIMEOUT' });
});

suite.over('an answer that comes after its timeout disturbs nobody', async (t, transport) => {
  const client = await suite.connect(t, transport);
  await t.throwsAsync(client.call('later', { ms: 40, value: 1 }, { timeout: 5 }), { code: 'ERR_PILLION_TIMEOUT' });
  t.is(await client.call('later', { ms: 60, value: 2 }), 2);
  t.is(client.stats().connections, 1);
});

suite.over('a signal that is aborted already sends nothing', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const reason = new Error('not today');
  const error = await t.throwsAsync(client.call('hang', 'never sent', { signal: AbortSignal.abort(reason) }));
  t.is(error, reason);
  t.is(client.stats().callsSent, 0);
  await client.call('echo', 1);
  t.false((await suite.sidecar.ask<string[]>('takeBegun')).includes('never sent'));
});

suite.over("aborting during a call rejects with the signal's reason and aborts the handler's", async (t, transport) => {
  const client = await suite.connect(t, transport);
  const label = `during ${transport}`;
  const controller = new AbortController();
  const call = client.call('hang', label, { signal: controller.signal, timeout: Number.POSITIVE_INFINITY });
  await hasBegun(label);
  const reason = new Error('changed my mind');
  controller.abort(reason);
  t.is(await t.throwsAsync(call), reason);
  await isAborted(label);
  t.is(client.stats().callsPending, 0);
});

suite.over('aborting in the same turn as the call rejects it', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const controller = new AbortController();
  const call = client.call('later', { ms: 20, value: 1 }, { signal: controller.signal });
  controller.abort();
  await rejectsAborted(t, call);
  t.is(await client.call('echo', 'next'), 'next');
});

suite.over('aborting after the answer changes nothing', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const controller = new AbortController();
  t.is(await client.call('echo', 5, { signal: controller.signal }), 5);
  controller.abort();
  await sleep(5);
  t.is(client.stats().callsFailed, 0);
  t.is(await client.call('echo', 6), 6);
});

suite.over('aborting a call whose request is still being written leaves the next one unharmed', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes: { toServer: 8192, toClient: 8192 } });
  const controller = new AbortController();
  const big = client.call('echoRaw', new Uint8Array(200_000), { signal: controller.signal, timeout: 20_000 });
  const next = client.call('echo', 'behind it', { timeout: 20_000 });
  controller.abort();
  await rejectsAborted(t, big);
  t.is(await next, 'behind it');
  t.is(((await client.call('echoRaw', new Uint8Array(100_000), { timeout: 20_000 })) as Uint8Array).length, 100_000);
  t.is(client.stats().connections, 1);
});

suite.over('one signal may serve many calls, and keeps no listener of settled ones', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const controller = new AbortController();
  let listeners = 0;
  const { signal } = controller;
  setMaxListeners(100, signal);
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<AbortSignal['addEventListener']>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<AbortSignal['removeEventListener']>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  await Promise.all(Array.from({ length: 50 }, (_, number) => client.call('echo', number, { signal })));
  t.is(listeners, 0);
  const hanging = Array.from({ length: 3 }, () => client.call('hang', 'shared', { signal }));
  controller.abort();
  for (const call of hanging) await rejectsAborted(t, call);
});

suite.over('timeouts that make no sense reject', async (t, transport) => {
  const client = await suite.connect(t, transport);
  for (const timeout of [0, -1, Number.NaN, '5' as unknown as number]) {
    await t.throwsAsync(client.call('echo', 1, { timeout }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
    t.throws(() => client.callSync('echo', 1, { timeout }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
    await t.throwsAsync(async () => client.ready({ timeout }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
    await t.throwsAsync(async () => client.flush({ timeout }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  }
});
