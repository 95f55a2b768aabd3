import test from 'ava';
import { connect } from '../../src/index.js';
import { pattern } from '../helpers/bytes.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { conformance } from './fixtures/contract.js';
import type { Heard } from './fixtures/handlers.js';
import { Suite, startSidecar, transportOptions } from './fixtures/suite.js';

const suite = new Suite();

suite.over('closing rejects calls in flight and refuses what comes after', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const calls = [client.call('hang', 'until closed'), client.call('later', { ms: 10_000, value: 1 })];
  const closed = client.close();
  for (const call of calls) await t.throwsAsync(call, { code: 'ERR_PILLION_CLOSED' });
  await closed;
  t.is(client.status().state, 'closed');
  t.is(client.status().transport, undefined);
  t.false(client.send('note', { number: 1 }));
  t.is(client.stats().eventsDropped, 1);
  await t.throwsAsync(client.call('echo', 1), { code: 'ERR_PILLION_CLOSED' });
  await t.throwsAsync(client.ready(), { code: 'ERR_PILLION_CLOSED' });
  await t.throwsAsync(client.flush(), { code: 'ERR_PILLION_CLOSED' });
  t.is(client.stats().callsPending, 0);
  t.is(client.stats().bufferedBytes, 0);
});

suite.over('closing twice, or at once, is the same as closing', async (t, transport) => {
  const client = await suite.connect(t, transport);
  await Promise.all([client.close(), client.close()]);
  await client.close();
  const young = connect(conformance, { path: suite.path, ...transportOptions(transport) });
  const ready = young.ready();
  await young.close();
  await t.throwsAsync(ready, { code: 'ERR_PILLION_CLOSED' });
  t.is(young.status().state, 'closed');
});

suite.over('events accepted right before close are delivered', async (t, transport) => {
  const client = await suite.connect(t, transport);
  await suite.heardSoFar();
  for (let number = 0; number < 500; number++) t.true(client.send('note', { number }));
  await client.close();
  const heard = await suite.heard(500);
  t.is(heard.length, 500);
});

suite.over('events accepted right before close are delivered wherever in the ring they lie', async (t, transport) => {
  const size = 64 * 1024;
  const client = await suite.connect(t, transport, { ringBytes: { toServer: size, toClient: 4096 } });
  const blob = pattern(1000);
  const record = 1016;
  // Five eighths round the ring, so that what follows lies across its end.
  let count = 0;
  for (let used = 0; used < (5 * size) / 8; used += record) count += client.send('blob', blob) ? 1 : 0;
  await client.flush({ timeout: 20_000 });
  for (let used = 0; used < size / 4; used += record) count += client.send('blob', blob) ? 1 : 0;
  // Let the first part be on its way, so that the rest has to wait for it.
  await Promise.resolve();
  await Promise.resolve();
  for (let used = 0; used < size / 2; used += record) count += client.send('blob', blob) ? 1 : 0;
  t.is(client.stats().eventsDropped, 0);
  await client.close();
  t.is((await suite.heard(count)).length, count);
});

suite.over('large payloads in flight when the client closes leave the sidecar unharmed', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes: { toServer: 16_384, toClient: 16_384 } });
  const calls = [client.call('echoRaw', pattern(1_000_000)), client.call('bytes', 1_000_000)];
  const closed = client.close();
  for (const call of calls) await t.throwsAsync(call, { code: 'ERR_PILLION_CLOSED' });
  await closed;
  const next = await suite.connect(t, transport);
  t.is(await next.call('echo', 'fine'), 'fine');
});

suite.over('disposing of a client closes it', async (t, transport) => {
  const client = await suite.connect(t, transport);
  await client[Symbol.asyncDispose]();
  t.is(client.status().state, 'closed');
});

suite.over('the sidecar hears of each client that leaves, without an error', async (t, transport) => {
  await until('all others have left', async () => (await suite.sidecar.ask<{ clients: number }>('stats')).clients === 0);
  await suite.sidecar.ask('takeDisconnects');
  const client = await suite.connect(t, transport);
  await client.call('echo', 1);
  await client.close();
  const heard: unknown[] = [];
  await until('the sidecar hears of it', async () => {
    heard.push(...(await suite.sidecar.ask<unknown[]>('takeDisconnects')));
    return heard.length > 0;
  });
  t.deepEqual(heard, [null]);
});

for (const transport of ['shm', 'socket'] as const) {
  test.serial(`${transport}: a sidecar that closes finishes what it has taken, and keeps the rest for its successor`, async (t) => {
    const path = socketPath();
    const first = await startSidecar(path);
    const client = connect(conformance, { path, ...transportOptions(transport) });
    t.teardown(() => client.close());
    await client.ready({ timeout: 20_000 });
    const taken = client.call('later', { ms: 100, value: 1 });
    await until('it is taken', async () => (await first.ask<{ callsHandled: number }>('stats')).callsHandled === 1);
    const leaving = first.ask('close');
    t.is(await taken, 1);
    await leaving;
    await first.stop();
    const waiting = client.call('echo', 'for the next', { timeout: 20_000 });
    t.true(client.send('note', { number: 1 }));
    const second = await startSidecar(path);
    t.teardown(() => second.stop());
    t.is(await waiting, 'for the next');
    await client.flush({ timeout: 20_000 });
    t.is(client.stats().connections, 2);
  });

  test.serial(`${transport}: a sidecar that is killed rejects calls in flight, and only those`, async (t) => {
    const path = socketPath();
    const first = await startSidecar(path);
    const client = connect(conformance, { path, ...transportOptions(transport) });
    t.teardown(() => client.close());
    await client.ready({ timeout: 20_000 });
    const inFlight = client.call('hang', 'killed', { timeout: 20_000 });
    await until('it has begun', async () => (await first.ask<string[]>('takeBegun')).length > 0);
    const disconnected = new Promise((resolve) => client.once('disconnect', resolve));
    await first.stop();
    await t.throwsAsync(inFlight, { code: 'ERR_PILLION_PEER_DIED' });
    t.is(await disconnected, null);
    t.is(client.status().state, 'connecting');
    t.true(client.send('note', { number: 1 }));
    const second = await startSidecar(path);
    t.teardown(() => second.stop());
    t.is(await client.call('echo', 'hello again', { timeout: 20_000 }), 'hello again');
    await client.flush({ timeout: 20_000 });
    t.is((await second.ask<unknown[]>('takeHeard')).length, 1);
  });
}

for (const transport of ['shm', 'socket'] as const) {
  test.serial(`${transport}: a call of an idempotent method is handed to the next sidecar when this one is killed`, async (t) => {
    const path = socketPath();
    const first = await startSidecar(path);
    const client = connect(conformance, { path, ...transportOptions(transport) });
    t.teardown(() => client.close());
    await client.ready({ timeout: 20_000 });
    const call = client.call('whoLater', 500, { timeout: 20_000 });
    await until('it has begun', async () => (await first.ask<string[]>('takeBegun')).length > 0);
    await first.stop();
    const second = await startSidecar(path);
    t.teardown(() => second.stop());
    t.is(await call, second.pid);
    t.is(client.stats().callsFailed, 0);
  });

  test.serial(`${transport}: events that a killed sidecar had not handled go to the next one, in order and marked`, async (t) => {
    const path = socketPath();
    const first = await startSidecar(path);
    const client = connect(conformance, { path, ...transportOptions(transport) });
    t.teardown(() => client.close());
    await client.ready({ timeout: 20_000 });
    for (let number = 0; number < 5; number++) t.true(client.send('note', { number }));
    await client.flush({ timeout: 20_000 });
    // Its handler holds everything behind it.
    t.true(client.send('lateNote', { number: 5, ms: 1000 }));
    for (let number = 6; number < 10; number++) t.true(client.send('note', { number }));
    await until('they are handled, not released', async () => (await first.ask<unknown[]>('takeHeard')).length > 0);
    await first.stop();
    const second = await startSidecar(path);
    t.teardown(() => second.stop());
    await client.flush({ timeout: 20_000 });
    const heard = await second.ask<Heard[]>('takeHeard');
    const numberOf = ({ value }: Heard): number => (typeof value === 'number' ? value : (value as { number: number }).number);
    t.deepEqual(heard.map(numberOf).sort(), [5, 6, 7, 8, 9]);
    t.true(heard.every(({ redelivered }) => redelivered));
    t.is(client.stats().eventsReplayed, 5);
  });
}
