import test, { type ExecutionContext } from 'ava';
import { type ConnectOptions, connect } from '../../src/index.js';
import { rejectsAborted } from '../helpers/abort.js';
import { pattern } from '../helpers/bytes.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { conformance } from './fixtures/contract.js';
import type { Heard } from './fixtures/handlers.js';
import { type SuiteClient, startSidecar, type Transport, transportOptions } from './fixtures/suite.js';

function lonely(t: ExecutionContext, transport: Transport, options: ConnectOptions = {}): { client: SuiteClient; path: string } {
  const path = socketPath();
  const client = connect(conformance, { path, ...transportOptions(transport), ...options });
  t.teardown(() => client.close());
  return { client, path };
}

for (const transport of ['shm', 'socket'] as const) {
  test(`${transport}: what is sent before any sidecar exists is delivered when one appears, in order`, async (t) => {
    const { client, path } = lonely(t, transport);
    t.true(client.send('note', { number: 0 }));
    const call = client.call('echo', 'waiting', { timeout: 20_000 });
    for (let number = 1; number < 100; number++) t.true(client.send('note', { number }));
    t.is(client.status().state, 'connecting');
    t.is(client.status().transport, undefined);
    t.true(client.stats().bufferedBytes > 0);
    const sidecar = await startSidecar(path);
    t.teardown(() => sidecar.stop());
    t.is(await call, 'waiting');
    await client.flush({ timeout: 20_000 });
    t.is(client.status().transport, transport);
    const heard = await sidecar.ask<Heard[]>('takeHeard');
    t.deepEqual(
      heard.map(({ value }) => (value as { number: number }).number),
      Array.from({ length: 100 }, (_, number) => number),
    );
    t.true(heard.every(({ redelivered }) => !redelivered));
    t.is(client.stats().eventsReplayed, 0);
  });

  test(`${transport}: large calls made before any sidecar exists are answered when one appears`, async (t) => {
    const { client, path } = lonely(t, transport, { ringBytes: { toServer: 16_384, toClient: 16_384 } });
    const calls = [100_000, 5, 50_000].map((size) => client.call('echoRaw', pattern(size), { timeout: 20_000 }));
    const sidecar = await startSidecar(path);
    t.teardown(() => sidecar.stop());
    t.deepEqual(
      (await Promise.all(calls)).map((bytes) => bytes.length),
      [100_000, 5, 50_000],
    );
  });

  test(`${transport}: a full ring refuses events, counts them, and keeps what it has accepted`, async (t) => {
    const { client, path } = lonely(t, transport, { ringBytes: { toServer: 4096, toClient: 4096 } });
    let accepted = 0;
    while (client.send('note', { number: accepted })) accepted++;
    t.true(accepted > 50);
    t.false(client.send('note', { number: -1 }));
    t.is(client.stats().eventsSent, accepted);
    t.is(client.stats().eventsDropped, 2);
    t.true(client.stats().bufferedBytes <= 4096);
    t.is(client.stats().ringBytes, 4096);
    const sidecar = await startSidecar(path);
    t.teardown(() => sidecar.stop());
    await client.flush({ timeout: 20_000 });
    const heard = await sidecar.ask<Heard[]>('takeHeard');
    t.deepEqual(
      heard.map(({ value }) => (value as { number: number }).number),
      Array.from({ length: accepted }, (_, number) => number),
    );
    t.true(client.send('note', { number: 0 }));
    await until('it is handled', () => client.stats().bufferedBytes === 0);
  });

  test(`${transport}: an event longer than the ring throws and leaves the ring as it was`, async (t) => {
    const { client } = lonely(t, transport, { ringBytes: { toServer: 4096, toClient: 4096 } });
    t.throws(() => client.send('blob', pattern(4097)), { code: 'ERR_PILLION_TOO_LARGE', message: /ringBytes/ });
    t.is(client.stats().bufferedBytes, 0);
    t.true(client.send('blob', pattern(4 * (1024 - 16))));
    t.is(client.stats().bufferedBytes, 4096);
    t.false(client.send('nothing'));
  });

  test(`${transport}: ready, flush and calls give up after their timeouts and say why`, async (t) => {
    const { client, path } = lonely(t, transport);
    client.send('note', { number: 1 });
    const [ready, flush, call] = await Promise.all([
      t.throwsAsync(client.ready({ timeout: 100 }), { code: 'ERR_PILLION_TIMEOUT' }),
      t.throwsAsync(client.flush({ timeout: 100 }), { code: 'ERR_PILLION_TIMEOUT' }),
      t.throwsAsync(client.call('echo', 1, { timeout: 100 }), { code: 'ERR_PILLION_TIMEOUT' }),
    ]);
    t.true(ready?.message.includes(path));
    t.truthy(flush);
    t.truthy(call);
    t.is((client.status().lastError as { code?: string } | null)?.code, 'ERR_PILLION_NOT_CONNECTED');
  });

  test(`${transport}: flush ends although the sidecar was through with everything before the app knew that it is connected`, async (t) => {
    const { client, path } = lonely(t, transport, { ringBytes: { toServer: 65_536 } });
    // One more than fits: it waits for room, and looks at the ring as soon as there is a connection.
    while (client.send('note', { number: 1, text: 'x'.repeat(1000) }));
    let isFlushed = false;
    const flushed = client.flush({ timeout: 20_000 }).finally(() => {
      isFlushed = true;
    });
    const sidecar = await startSidecar(path);
    t.teardown(() => sidecar.stop());
    // So busy that whatever the sidecar does is done when this side looks.
    while (!isFlushed && client.status().state !== 'connected') {
      for (const end = performance.now() + 5; performance.now() < end; );
      await new Promise((resolve) => setImmediate(resolve));
    }
    await flushed;
    t.is(client.bufferedBytes, 0);
  });

  test(`${transport}: a call that gave up before a sidecar came is not carried out`, async (t) => {
    const { client, path } = lonely(t, transport);
    await t.throwsAsync(client.call('hang', 'too late', { timeout: 20 }), { code: 'ERR_PILLION_TIMEOUT' });
    const controller = new AbortController();
    const aborted = client.call('hang', 'called off', { signal: controller.signal });
    controller.abort();
    await rejectsAborted(t, aborted);
    const sidecar = await startSidecar(path);
    t.teardown(() => sidecar.stop());
    await client.call('echo', 1, { timeout: 20_000 });
    const [begun, stopped] = [await sidecar.ask<string[]>('takeBegun'), await sidecar.ask<string[]>('takeAborted')];
    // It may have been begun, if its record lay in the ring; then its CANCEL came right behind.
    t.deepEqual(begun.sort(), stopped.sort());
  });

  test(`${transport}: waits end with the signal's reason, whenever it is aborted`, async (t) => {
    const { client } = lonely(t, transport);
    const reason = new Error('enough');
    const controller = new AbortController();
    const waits = [client.ready({ signal: controller.signal }), client.call('echo', 1, { signal: controller.signal })];
    controller.abort(reason);
    for (const wait of waits) t.is(await t.throwsAsync(wait), reason);
    t.is(await t.throwsAsync(client.ready({ signal: AbortSignal.abort(reason) })), reason);
    client.send('nothing');
    t.is(await t.throwsAsync(client.flush({ signal: AbortSignal.abort(reason) })), reason);
  });
}
