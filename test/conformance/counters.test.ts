import test, { type ExecutionContext } from 'ava';
import { type ClientCounters, type ConnectOptions, connect, type MetricSnapshot, type ServeOptions, sumCounters } from '../../src/index.js';
import { type Child, startChild } from '../helpers/child.js';
import { until } from '../helpers/deadline.js';
import { type Resources, resources } from '../helpers/resources.js';
import { socketPath } from '../helpers/socket-path.js';
import { counting } from './fixtures/counting.js';
import { type Transport, transportOptions } from './fixtures/suite.js';

async function startSidecar(t: ExecutionContext, path: string, options: ServeOptions = {}): Promise<Child> {
  const child = await startChild(new URL('./fixtures/counting-sidecar.js', import.meta.url), { args: [path, JSON.stringify(options)] });
  t.teardown(() => child.stop());
  return child;
}

async function startApp(t: ExecutionContext, options: ConnectOptions): Promise<Child> {
  const child = await startChild(new URL('./fixtures/counting-app.js', import.meta.url), { args: [JSON.stringify(options)] });
  t.teardown(() => child.stop());
  return child;
}

const counters = (sidecar: Child): Promise<ClientCounters[]> => sidecar.ask<ClientCounters[]>('counters');

function numberOf(metrics: readonly MetricSnapshot[], name: string): number | undefined {
  const metric = metrics.find((one) => one.name === name);
  return metric?.kind === 'histogram' ? metric.count : metric?.value;
}

async function beats(sidecar: Child): Promise<number> {
  return numberOf(sumCounters(await counters(sidecar)), 'beats') ?? 0;
}

/** The last counters of the one client that leaves. */
async function lastOf(sidecar: Child): Promise<ClientCounters> {
  const last: ClientCounters[] = [];
  await until('the client has left', async () => {
    last.push(...(await sidecar.ask<ClientCounters[]>('takeLast')));
    return last.length > 0;
  });
  return last[0] as ClientCounters;
}

async function allGone(before: Resources, now: () => Promise<Resources> | Resources): Promise<void> {
  await until('descriptors and mappings are as before', async () => {
    const { descriptors, mappings } = await now();
    return descriptors <= before.descriptors && mappings <= before.mappings;
  });
}

function over(title: string, body: (t: ExecutionContext, transport: Transport, options: ConnectOptions) => Promise<void>): void {
  for (const transport of ['shm', 'socket'] as const)
    test.serial(`${transport}: ${title}`, (t) => body(t, transport, { path: socketPath(), ...transportOptions(transport) }));
}

over('a sidecar reads what an app counted before and after it connected', async (t, transport, options) => {
  const client = connect(counting, options);
  t.teardown(() => client.close());
  client.counter('requests', { method: 'GET' }).add(2);
  const sidecar = await startSidecar(t, options.path as string);
  await client.ready({ timeout: 20_000 });
  t.is(client.status().transport, transport);
  client.counter('requests', { method: 'PUT' }).add();
  client.gauge('inflight').set(3);
  client.gauge('inflight').add(-1);
  client.histogram('latency', { route: '/a' }).observe(0.3);
  const [read, ...others] = await counters(sidecar);
  t.deepEqual(others, []);
  t.is(read?.peer.pid, process.pid);
  t.deepEqual([read?.isConnected, read?.available, read?.reason], [true, true, undefined]);
  const requests = { name: 'requests', kind: 'counter', help: 'Requests served', unit: '' };
  t.deepEqual(read?.metrics as unknown, [
    { ...requests, labels: { method: 'GET' }, value: 2 },
    { ...requests, labels: { method: 'PUT' }, value: 1 },
    { name: 'inflight', kind: 'gauge', help: '', unit: '', labels: {}, value: 2 },
    {
      name: 'latency',
      kind: 'histogram',
      help: '',
      unit: 'seconds',
      labels: { route: '/a' },
      count: 1,
      sum: 0.3,
      buckets: [
        { le: 0.1, count: 0 },
        { le: 1, count: 1 },
        { le: Number.POSITIVE_INFINITY, count: 1 },
      ],
    },
  ]);
  const { available, reason, usedBytes, counterBytes } = client.status().counters ?? {};
  t.deepEqual([available, reason, counterBytes], [true, undefined, 65_536]);
  t.true((usedBytes ?? 0) > 0);
});

over('messages go on as if there were no counters among the names', async (t, _transport, options) => {
  const sidecar = await startSidecar(t, options.path as string);
  const client = connect(counting, options);
  t.teardown(() => client.close());
  client.send('log', 'hello');
  t.is(await client.call('echo', 'x', { timeout: 20_000 }), 'x');
  t.deepEqual(await sidecar.ask('takeLogged'), ['hello']);
  t.throws(() => client.send('beats' as 'log', ''), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  await t.throwsAsync(client.call('requests' as 'echo', ''), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  t.throws(() => client.counter('log' as 'beats'), { code: 'ERR_PILLION_UNKNOWN_NAME' });
});

over("a sidecar goes on reading while the app's event loop is blocked", async (t, _transport, options) => {
  const sidecar = await startSidecar(t, options.path as string);
  const app = await startApp(t, options);
  await app.ask('ready');
  await app.ask('blockLoop');
  let last = 0;
  for (let round = 0; round < 10; round++) {
    await until('more beats are seen', async () => {
      const now = await beats(sidecar);
      t.true(now >= last);
      if (now === last) return false;
      last = now;
      return true;
    });
  }
});

over('reading sends nothing to the app', async (t, _transport, options) => {
  const sidecar = await startSidecar(t, options.path as string);
  const app = await startApp(t, options);
  await app.ask('ready');
  await app.ask('count', 7);
  app.signal('SIGSTOP');
  t.is(await beats(sidecar), 7);
  const { doorbells } = await sidecar.ask<{ doorbells: number }>('stats');
  for (let i = 0; i < 100; i++) t.is(await beats(sidecar), 7);
  t.is((await sidecar.ask<{ doorbells: number }>('stats')).doorbells, doorbells);
  app.signal('SIGCONT');
  t.is(await app.ask('echo', 'awake'), 'awake');
});

over('the last values of an app that was killed come with its disconnect', async (t, _transport, options) => {
  const sidecar = await startSidecar(t, options.path as string);
  const before = await sidecar.ask<Resources>('resources');
  const app = await startApp(t, options);
  await app.ask('ready');
  await app.ask('count', 5);
  // The sidecar has not looked before, and it is asleep when the app dies in the middle of its turn.
  await app.ask('countAndDie', 1000).catch(() => {});
  t.is((await app.exited).signal, 'SIGKILL');
  const { metrics, isConnected, available } = await lastOf(sidecar);
  t.deepEqual([isConnected, available], [false, true]);
  t.is(numberOf(metrics, 'beats'), 1005);
  t.is(numberOf(metrics, 'requests'), 10);
  t.is(numberOf(metrics, 'latency'), 1);
  t.deepEqual(await counters(sidecar), []);
  await allGone(before, () => sidecar.ask<Resources>('resources'));
});

over('the last values of an app that closed come with its disconnect', async (t, _transport, options) => {
  const sidecar = await startSidecar(t, options.path as string);
  const client = connect(counting, options);
  await client.ready({ timeout: 20_000 });
  const handle = client.counter('beats');
  handle.add(3);
  await client.close();
  const { metrics } = await lastOf(sidecar);
  t.is(numberOf(metrics, 'beats'), 3);
  // What is counted later is the app's alone.
  handle.add(1);
  t.is(handle.value, 4);
  t.is(client.counter('beats').value, 4);
  t.notThrows(() => client.counter('requests', { method: 'late' }).add());
});

over('values go on with the next sidecar when one is killed', async (t, _transport, options) => {
  const first = await startSidecar(t, options.path as string);
  const client = connect(counting, options);
  t.teardown(() => client.close());
  await client.ready({ timeout: 20_000 });
  client.counter('beats').add(10);
  t.is(await beats(first), 10);
  await first.stop();
  await until('the client has noticed', () => client.status().state === 'connecting');
  client.counter('beats').add(5);
  client.counter('requests', { method: 'GET' }).add(1);
  const second = await startSidecar(t, options.path as string);
  await client.ready({ timeout: 20_000 });
  client.counter('beats').add(1);
  const [read] = await counters(second);
  t.is(numberOf(read?.metrics ?? [], 'beats'), 16);
  t.is(numberOf(read?.metrics ?? [], 'requests'), 1);
});

over('a sidecar adds up the counters of many clients', async (t, _transport, options) => {
  const sidecar = await startSidecar(t, options.path as string);
  const clients = Array.from({ length: 5 }, () => connect(counting, options));
  t.teardown(() => Promise.all(clients.map((client) => client.close())));
  for (const [index, client] of clients.entries()) {
    await client.ready({ timeout: 20_000 });
    client.counter('beats').add(10 ** index);
    client.histogram('latency', { route: '/' }).observe(index);
  }
  const read = await counters(sidecar);
  t.is(new Set(read.map(({ clientId }) => clientId)).size, 5);
  const sums = sumCounters(read);
  t.is(numberOf(sums, 'beats'), 11_111);
  t.is(numberOf(sums, 'latency'), 5);
});

over('workers count apart, and a terminated one leaves its last values', async (t, _transport, options) => {
  const sidecar = await startSidecar(t, options.path as string);
  const app = await startApp(t, options);
  await app.ask('ready');
  await app.ask('echo', 'once, for what stays open');
  const before = await app.ask<Resources>('resources');
  await app.ask('startWorkers', 3);
  t.is(await beats(sidecar), 6);
  await app.ask('terminateWorkers');
  const last: ClientCounters[] = [];
  await until('all workers have left', async () => {
    last.push(...(await sidecar.ask<ClientCounters[]>('takeLast')));
    return last.length === 3;
  });
  t.is(numberOf(sumCounters(last), 'beats'), 6);
  await allGone(before, () => app.ask<Resources>('resources'));
});

over('a full memory refuses another set of labels, and nothing else suffers', async (t, _transport, options) => {
  const sidecar = await startSidecar(t, options.path as string);
  const client = connect(counting, { ...options, counterBytes: 4096 });
  t.teardown(() => client.close());
  await client.ready({ timeout: 20_000 });
  let made = 0;
  t.throws(
    () => {
      for (; ; made++) client.counter('requests', { method: `M${made}` }).add();
    },
    { code: 'ERR_PILLION_COUNTERS_FULL', message: /counterBytes/ },
  );
  for (let i = 0; i < made; i++) client.counter('requests', { method: `M${i}` }).add();
  const [read] = await counters(sidecar);
  t.is(read?.metrics.length, made);
  t.true(read?.metrics.every((metric) => metric.kind === 'counter' && metric.value === 2));
  t.is(await client.call('echo', 1, { timeout: 20_000 }), 1);
});

over('a sidecar without interest says so, and everything else works', async (t, _transport, options) => {
  for (const [maxCounterBytes, counterBytes, reason] of [
    [0, 4096, /maxCounterBytes=0/],
    [4096, 8192, /8192 bytes, more than the server's maxCounterBytes=4096/],
  ] as const) {
    const path = socketPath();
    const sidecar = await startSidecar(t, path, { maxCounterBytes });
    const client = connect(counting, { ...options, path, counterBytes });
    t.teardown(() => client.close());
    client.counter('beats').add(1);
    await client.ready({ timeout: 20_000 });
    t.is(client.status().counters?.available, false);
    t.regex(client.status().counters?.reason ?? '', reason);
    const [read] = await counters(sidecar);
    t.deepEqual([read?.available, read?.metrics], [false, []]);
    t.regex(read?.reason ?? '', reason);
    t.is(await client.call('echo', 1, { timeout: 20_000 }), 1);
    const { descriptors, memfds } = await sidecar.ask<Resources>('resources');
    await client.close();
    t.is(memfds, 0);
    await until('its socket is closed', async () => (await sidecar.ask<Resources>('resources')).descriptors < descriptors);
  }
});

over('a sidecar that takes the socket only still reads the counters', async (t, _transport, options) => {
  const sidecar = await startSidecar(t, options.path as string, { transport: 'socket' });
  const client = connect(counting, options);
  t.teardown(() => client.close());
  await client.ready({ timeout: 20_000 });
  t.is(client.status().transport, 'socket');
  client.counter('beats').add(4);
  t.is(await beats(sidecar), 4);
});

over('an app without the addon counts for itself, and the sidecar is told why', async (t, _transport, options) => {
  const sidecar = await startSidecar(t, options.path as string);
  const app = await startChild(new URL('./fixtures/counting-app.js', import.meta.url), {
    args: [JSON.stringify(options)],
    execArgv: ['--no-addons'],
  });
  t.teardown(() => app.stop());
  await app.ask('ready');
  await app.ask('count', 5);
  const [read] = await counters(sidecar);
  t.deepEqual([read?.available, read?.metrics], [false, []]);
  t.regex(read?.reason ?? '', /--no-addons/);
  const { counters: own } = await app.ask<{ counters: { available: boolean; reason: string } }>('status');
  t.false(own.available);
  t.regex(own.reason, /--no-addons/);
});

over('a sidecar without the addon says so', async (t, _transport, options) => {
  const sidecar = await startChild(new URL('./fixtures/counting-sidecar.js', import.meta.url), {
    args: [options.path as string],
    execArgv: ['--no-addons'],
  });
  t.teardown(() => sidecar.stop());
  const client = connect(counting, options);
  t.teardown(() => client.close());
  await client.ready({ timeout: 20_000 });
  t.regex(client.status().counters?.reason ?? '', /--no-addons/);
  const [read] = await counters(sidecar);
  t.regex(read?.reason ?? '', /--no-addons/);
});

over('connecting and closing many times leaves no descriptor and no mapping on either side', async (t, _transport, options) => {
  const sidecar = await startSidecar(t, options.path as string);
  const round = async (): Promise<void> => {
    const client = connect(counting, options);
    client.counter('beats').add();
    await client.ready({ timeout: 20_000 });
    t.is(numberOf((await counters(sidecar)).at(-1)?.metrics ?? [], 'beats'), 1);
    await client.close();
  };
  // The first connection also opens what stays.
  await round();
  await until('it has left', async () => (await counters(sidecar)).length === 0);
  const [here, there] = [resources(), await sidecar.ask<Resources>('resources')];
  for (let i = 0; i < 25; i++) await round();
  await allGone(here, () => resources());
  await allGone(there, () => sidecar.ask<Resources>('resources'));
  t.is(resources().memfds, 0);
});

test('options that can never work are refused at once', (t) => {
  for (const counterBytes of [0, 4095, 4097, 2 ** 27, '4096', Number.NaN] as number[])
    t.throws(() => connect(counting, { path: socketPath(), counterBytes }), {
      code: 'ERR_PILLION_INVALID_ARGUMENT',
      message: /counterBytes/,
    });
});
