import test from 'ava';
import { connect } from '../../src/index.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { conformance } from './fixtures/contract.js';
import { Suite, startSidecar, transportOptions } from './fixtures/suite.js';

const suite = new Suite();

suite.over('status tells the path, the transport and who is there', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const status = client.status();
  t.is(status.state, 'connected');
  t.is(status.path, suite.path);
  t.is(status.transport, transport);
  t.is(status.fallbackReason, undefined);
  t.is(status.lastError, null);
  t.is(status.peer?.pid, suite.sidecar.pid);
  t.is(status.peer?.uid, process.getuid?.());
  t.is(status.peer?.gid, process.getgid?.());
  t.is(status.peer?.runtime, `node ${process.versions.node}`);
});

suite.over('stats count what was sent, answered, failed and dropped', async (t, transport) => {
  const client = await suite.connect(t, transport);
  t.deepEqual(client.stats(), {
    eventsSent: 0,
    eventsDropped: 0,
    eventsReplayed: 0,
    callsSent: 0,
    callsSucceeded: 0,
    callsFailed: 0,
    callsPending: 0,
    streamsOpen: 0,
    broadcastsReceived: 0,
    broadcastsFailed: 0,
    statesReceived: 0,
    connections: 1,
    doorbells: client.stats().doorbells,
    bufferedBytes: 0,
    ringBytes: 256 * 1024,
    claimsOpen: 0,
    claimsLeaked: 0,
    arenaUsedBytes: 0,
    arenaBytes: 0,
  });
  client.send('note', { number: 1 });
  await client.call('echo', 1);
  client.callSync('echo', 1);
  await t.throwsAsync(client.call('fail', 'throw'));
  t.throws(() => client.callSync('fail', 'throw'));
  await t.throwsAsync(client.call('hang', 'counted', { timeout: 10 }));
  const pending = client.call('later', { ms: 50, value: 1 });
  const { eventsSent, callsSent, callsSucceeded, callsFailed, callsPending } = client.stats();
  t.deepEqual(
    { eventsSent, callsSent, callsSucceeded, callsFailed, callsPending },
    { eventsSent: 1, callsSent: 6, callsSucceeded: 2, callsFailed: 3, callsPending: 1 },
  );
  await pending;
});

suite.over("the sidecar's stats count clients, events and calls", async (t, transport) => {
  interface Stats {
    connections: number;
    clients: number;
    eventsHandled: number;
    callsHandled: number;
  }
  await until('all others have left', async () => (await suite.sidecar.ask<Stats>('stats')).clients === 0);
  const before = await suite.sidecar.ask<Stats>('stats');
  const client = await suite.connect(t, transport);
  for (let number = 0; number < 10; number++) client.send('note', { number });
  await client.call('echo', 1);
  const after = await suite.sidecar.ask<Stats>('stats');
  t.is(after.connections - before.connections, 1);
  t.is(after.clients, 1);
  t.is(after.eventsHandled - before.eventsHandled, 10);
  t.is(after.callsHandled - before.callsHandled, 1);
});

for (const transport of ['shm', 'socket'] as const) {
  test.serial(`${transport}: connect and disconnect are reported once per connection`, async (t) => {
    const path = socketPath();
    const client = connect(conformance, { path, ...transportOptions(transport) });
    t.teardown(() => client.close());
    const reports: string[] = [];
    client.on('connect', () => reports.push(`connect ${client.status().state}`));
    client.on('disconnect', (reason) => reports.push(`disconnect ${reason} ${client.status().state}`));
    for (let round = 1; round <= 2; round++) {
      const sidecar = await startSidecar(path);
      await client.ready({ timeout: 20_000 });
      await client.call('echo', round);
      t.is(client.status().peer?.pid, sidecar.pid);
      await sidecar.stop();
      await until('the client has noticed', () => client.status().state === 'connecting');
    }
    t.deepEqual(reports, ['connect connected', 'disconnect null connecting', 'connect connected', 'disconnect null connecting']);
    t.is(client.stats().connections, 2);
    t.is(client.status().peer, undefined);
  });

  test.serial(`${transport}: a server without shared memory makes the client say why it fell back`, async (t) => {
    const path = socketPath();
    const sidecar = await startSidecar(path, { transport: 'socket' });
    t.teardown(() => sidecar.stop());
    const client = connect(conformance, { path, ...transportOptions(transport) });
    t.teardown(() => client.close());
    const reasons: string[] = [];
    client.on('fallback', (reason) => reasons.push(reason));
    client.send('note', { number: 1 });
    await client.ready({ timeout: 20_000 });
    t.is(client.status().transport, 'socket');
    if (transport === 'shm') {
      t.regex(client.status().fallbackReason ?? '', /told to use the socket/);
      t.deepEqual(reasons, [client.status().fallbackReason]);
    } else {
      t.is(client.status().fallbackReason, undefined);
      t.deepEqual(reasons, []);
    }
    t.is(await client.call('echo', 1), 1);
    t.is((await sidecar.ask<unknown[]>('takeHeard')).length, 1);
  });
}
