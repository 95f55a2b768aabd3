import { once } from 'node:events';
import test from 'ava';
import { connect } from '../../src/index.js';
import { flow } from '../conformance/fixtures/flow-contract.js';
import { connectFlow, overBoth, startFlowApp, startFlowSidecar } from '../conformance/fixtures/flow-suite.js';
import { takeHeard } from '../conformance/fixtures/suite.js';
import { inTime, until } from '../helpers/deadline.js';
import { resources } from '../helpers/resources.js';
import { random } from '../helpers/seed.js';
import { socketPath } from '../helpers/socket-path.js';

/** What becomes of states, broadcasts and waiting messages when one of the two sides is killed. */

test.serial('shm: events among calls whose answers do not fit any ring are handled though their app is dead', async (t) => {
  const path = socketPath();
  const sidecar = await startFlowSidecar(path, { maxQueuedBytes: 1000 });
  t.teardown(() => sidecar.stop());
  const app = await startFlowApp(t, path, 'shm', { ringBytes: { toClient: 4096 } });
  sidecar.signal('SIGSTOP');
  const count = await app.ask<number>('callAndSend');
  t.true(count > 100);
  await app.stop();
  sidecar.signal('SIGCONT');
  t.deepEqual(
    await takeHeard(sidecar, count),
    Array.from({ length: count }, (_, number) => number),
  );
  await until('the sidecar has nothing of it left', async () => (await sidecar.ask<{ clients: number }>('stats')).clients === 0);
});

overBoth(
  'ten sidecars, each killed while it tells: values of one never come out of order, and the app ends with what it had',
  async (t, transport) => {
    const numbers = random();
    t.log(`seed ${numbers.seed}`);
    const path = socketPath();
    let sidecar = await startFlowSidecar(path);
    t.teardown(() => sidecar.stop());
    const client = await connectFlow(t, path, transport, { ringBytes: { toClient: 4096 } });
    let last = 0;
    client.state('config').on('change', ({ version }) => {
      // A successor begins anew.
      t.true(version > last || version < 1000, `${version} after ${last}`);
      last = version;
    });
    client.subscribe('blobNews', () => {});
    await sidecar.ask('setMany', 1000, 1000);
    await until('the first has told', () => client.state('config').value?.version === 1000);
    let before = resources();
    for (let round = 0; round < 10; round++) {
      // The event loop keeps what it has needed once to watch a directory.
      if (round === 1) before = resources();
      const telling = [sidecar.ask('setMany', 1_000_000, 100), sidecar.ask('broadcastBlob', 'blobNews', 500_000)].map((ask) =>
        ask.catch(() => {}),
      );
      await sidecar.ask('setBlob', 100_000, round);
      const goal = 1 + numbers.below(500);
      await until('it has told something', () => !client.state('config').isStale && (client.state('config').value?.version ?? 0) >= goal);
      const stale = inTime('the state is stale', once(client.state('config'), 'stale'));
      await sidecar.stop();
      await stale;
      await Promise.all(telling);
      t.true(client.state('config').isStale);
      last = 0;
      sidecar = await startFlowSidecar(path);
      await client.ready({ timeout: 20_000 });
    }
    await sidecar.ask('set', 'config', { version: 5 });
    await until('the last one has told', () => client.state('config').value?.version === 5);
    t.is(client.stats().connections, 11);
    t.deepEqual(resources(), before);
  },
);

overBoth('an app that is killed while it is told much costs the sidecar nothing that stays', async (t, transport) => {
  const path = socketPath();
  const sidecar = await startFlowSidecar(path);
  t.teardown(() => sidecar.stop());
  const awake = await connectFlow(t, path, transport);
  for (let round = 0; round < 5; round++) {
    const app = await startFlowApp(t, path, transport, { ringBytes: { toClient: 4096 } });
    app.signal('SIGSTOP');
    await sidecar.ask('setBlob', 2_000_000, round);
    for (let i = 0; i < 50; i++) await sidecar.ask('broadcast', 'latestNews', { number: i, text: 'x'.repeat(900) });
    await app.stop();
  }
  await until('only one is left', async () => (await sidecar.ask<{ clients: number }>('stats')).clients === 1);
  await until('it has the last value', () => awake.state('blob').value?.length === 2_000_000);
  t.is((await sidecar.ask<{ queuedBytes: number }>('stats')).queuedBytes, 0);
});

overBoth('a sidecar that closes while it tells much says GOODBYE last, and its successor tells its own', async (t, transport) => {
  const path = socketPath();
  const first = await startFlowSidecar(path);
  t.teardown(() => first.stop());
  const client = connect(flow, { path, transport: transport === 'shm' ? 'auto' : 'socket', ringBytes: { toClient: 4096 } });
  t.teardown(() => client.close());
  await client.ready({ timeout: 20_000 });
  const reasons: (Error | null)[] = [];
  client.on('disconnect', (reason) => reasons.push(reason));
  const telling = first.ask('setMany', 1_000_000, 200).catch(() => {});
  await until('it has told something', () => client.state('config').value !== undefined);
  for (let number = 0; number < 100; number++) client.send('note', number);
  await first.ask('close');
  await until('it has left', () => reasons.length === 1);
  t.deepEqual(reasons, [null]);
  const heard = (await first.ask<unknown[]>('takeHeard')).length;
  await first.stop();
  await telling;
  const second = await startFlowSidecar(path);
  t.teardown(() => second.stop());
  await second.ask('set', 'config', { version: 3 });
  await until('the second has told', () => client.state('config').value?.version === 3);
  await client.flush({ timeout: 20_000 });
  t.is(heard + (await second.ask<unknown[]>('takeHeard')).length, 100, 'each event once');
});
