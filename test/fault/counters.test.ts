import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { type ClientCounters, type ConnectOptions, connect, type MetricSnapshot } from '../../src/index.js';
import { counting } from '../conformance/fixtures/counting.js';
import { failing, stripping } from '../fixtures/node/calls.js';
import { startHostile } from '../fixtures/node/hostile.js';
import { checkNoChildren, type Program, place, ROOT, run, runPython } from '../fixtures/node/program.js';
import { type Child, startChild } from '../helpers/child.js';
import { until } from '../helpers/deadline.js';
import type { Resources } from '../helpers/resources.js';

/** Counters when one side dies, lies, or is not pillion at all. */

test.afterEach.always('no child is left', checkNoChildren);

type T = Parameters<typeof place>[0];

async function startSidecar(t: T, path: string, env: Record<string, string> = {}): Promise<Child> {
  const child = await startChild(new URL('../conformance/fixtures/counting-sidecar.js', import.meta.url), { args: [path], env });
  t.teardown(() => child.stop());
  return child;
}

async function startApp(t: T, options: ConnectOptions, env: Record<string, string> = {}): Promise<Child> {
  const args = [JSON.stringify(options)];
  const child = await startChild(new URL('../conformance/fixtures/counting-app.js', import.meta.url), { args, env });
  t.teardown(() => child.stop());
  return child;
}

const names = ['log=collect', 'echo=echo'];

async function pythonSidecar(t: T, path: string): Promise<Program> {
  const args = ['--path', path, '--contract', 'counting', ...names.flatMap((name) => ['--name', name])];
  const program = runPython(t, 'server.py', args);
  await program.next('listening');
  return program;
}

async function askPython(sidecar: Program): Promise<MetricSnapshot[][]> {
  sidecar.signal('SIGUSR2');
  return (await sidecar.next('counters'))['counters'] as MetricSnapshot[][];
}

const valueOfBeats = (metrics: readonly MetricSnapshot[]): number | undefined => {
  const beats = metrics.find(({ name }) => name === 'beats');
  return beats?.kind === 'counter' ? beats.value : undefined;
};

test.serial('a sidecar that reads all the time survives a client that scribbles over its counters', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, path);
  const honest = await startApp(t, { path });
  await honest.ask('ready');
  await honest.ask('count', 3);
  const before = await sidecar.ask<Resources>('resources');
  const { outcome } = startHostile(t, path, 'counters-scribble', ['--contract', 'counting', '--rounds', '2000']);
  let isOver = false;
  void outcome.then(() => {
    isOver = true;
  });
  let broken = 0;
  while (!isOver) {
    for (const { available, reason, metrics, peer } of await sidecar.ask<ClientCounters[]>('counters')) {
      if (peer.pid === honest.pid) t.is(valueOfBeats(metrics), 3);
      else if (!available && reason !== 'the app has no counters') {
        broken++;
        t.regex(reason ?? '', /counters are malformed/);
      }
    }
  }
  const { outcome: end, ok, seed } = await outcome;
  t.log(`seed ${seed}, seen broken ${broken} times`);
  t.deepEqual([end, ok], ['works', true]);
  await until('everything was given back', async () => {
    const { descriptors, mappings } = await sidecar.ask<Resources>('resources');
    return descriptors <= before.descriptors && mappings <= before.mappings;
  });
});

test.serial('counters that are broken are counted once and cost nothing else', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, path);
  for (const action of ['counters-content-magic', 'counters-content-json', 'counters-content-used', 'counters-content-good']) {
    const { outcome, ok } = await startHostile(t, path, action, ['--contract', 'counting']).outcome;
    t.deepEqual([action, outcome, ok], [action, 'works', true]);
  }
  await until('all have left', async () => (await sidecar.ask<{ clients: number }>('stats')).clients === 0);
  const { countersBroken, clientsRefused } = await sidecar.ask<Record<string, number>>('stats');
  t.deepEqual({ countersBroken, clientsRefused }, { countersBroken: 3, clientsRefused: 0 });
  const last = await sidecar.ask<ClientCounters[]>('takeLast');
  const good = last.filter(({ available }) => available);
  t.true(good.some(({ metrics }) => metrics.length === 1));
});

test.serial('an app that may not have the memory counts for itself, and says why', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, path);
  const script = `
    import { connect } from '${ROOT}dist/src/index.js';
    import { counting } from '${ROOT}dist/test/conformance/fixtures/counting.js';
    const client = connect(counting, { path: process.argv[1], transport: 'socket' });
    client.counter('beats').add(2);
    await client.ready();
    console.log(JSON.stringify({ value: client.counter('beats').value, ...client.status().counters }));
    setInterval(() => {}, 1000);
  `;
  const app = run(t, 'app', process.execPath, ['--input-type=module', '-e', script, path], { shell: 'ulimit -f 8' });
  const { value, available, reason } = await app.next('value');
  t.deepEqual([value, available], [2, false]);
  t.regex(String(reason), /shared memory for counters cannot be had: (ftruncate|fallocate) failed with EFBIG/);
  const [read] = await sidecar.ask<ClientCounters[]>('counters');
  t.is(read?.reason, reason as string);
});

const MEMORY_CALLS = ['memfd_create', 'ftruncate', 'fallocate', 'fcntl', 'mmap'];
const ENOMEM = 12;

/** Who counts 5 must see it counted, whatever fails; the sidecar reads it or both know why not. */
async function countsOrSaysWhy(t: T, app: Child, sidecar: Child): Promise<string> {
  await app.ask('ready');
  await app.ask('count', 5);
  t.is(await app.ask('echo', 5), 5);
  const { counters } = await app.ask<{ counters: { available: boolean; reason?: string } }>('status');
  const read = (await sidecar.ask<ClientCounters[]>('counters')).find(({ peer }) => peer.pid === app.pid);
  t.deepEqual([read?.available, read?.reason], [counters.available, counters.reason]);
  if (counters.available) t.is(valueOfBeats(read?.metrics ?? []), 5);
  else t.truthy(counters.reason);
  return counters.reason ?? 'read';
}

test.serial('an app whose n-th system call for memory fails counts all the same, for every n', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, path);
  const outcomes: string[] = [];
  for (let n = 1; n <= 6; n++) {
    const app = await startApp(
      t,
      { path, transport: 'socket' },
      failing({ calls: MEMORY_CALLS, nth: n, does: ENOMEM, from: 'pillion.node' }),
    );
    outcomes.push(await countsOrSaysWhy(t, app, sidecar));
    await app.stop();
  }
  t.deepEqual(
    outcomes.map((outcome) => /(\S+) failed with ENOMEM/.exec(outcome)?.[1] ?? outcome),
    ['memfd_create', 'ftruncate', 'fallocate', 'mmap', 'fcntl(F_ADD_SEALS)', 'read'],
  );
});

test.serial('a sidecar that cannot map counters says so, and everything else works', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, path, failing({ calls: ['mmap'], nth: 0, does: ENOMEM, from: 'pillion.node' }));
  const app = await startApp(t, { path, transport: 'socket' });
  t.regex(await countsOrSaysWhy(t, app, sidecar), /^the server cannot map the counters: mmap/);
});

test.serial('where descriptors get lost on the way the counters are not read, and everything else works', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, path);
  for (const transport of ['auto', 'socket'] as const) {
    const app = await startApp(t, { path, transport }, stripping());
    t.is(await countsOrSaysWhy(t, app, sidecar), 'the descriptor of the counters did not arrive');
    await app.stop();
  }
});

for (const transport of ['shm', 'socket'] as const) {
  const options = { transport: transport === 'shm' ? ('auto' as const) : transport };

  test.serial(
    `over ${transport}: a Python sidecar reads what a Node app counts, while it is stopped, and after it was killed`,
    async (t) => {
      const { path } = place(t);
      const sidecar = await pythonSidecar(t, path);
      const app = await startApp(t, { path, ...options });
      await app.ask('ready');
      await app.ask('count', 0.5);
      app.signal('SIGSTOP');
      const [metrics = []] = await askPython(sidecar);
      t.deepEqual(metrics as unknown, [
        { name: 'beats', kind: 'counter', labels: {}, help: '', unit: '', value: 0.5 },
        { name: 'inflight', kind: 'gauge', labels: {}, help: '', unit: '', value: 0.5 },
        { name: 'requests', kind: 'counter', labels: { method: 'GET' }, help: 'Requests served', unit: '', value: 1 },
        {
          name: 'latency',
          kind: 'histogram',
          labels: { route: '/' },
          help: '',
          unit: 'seconds',
          count: 1,
          sum: 0.5,
          buckets: [
            { le: 0.1, count: 0 },
            { le: 1, count: 1 },
            { le: null, count: 1 },
          ],
        },
      ]);
      app.signal('SIGCONT');
      await app.ask('countAndDie', 2).catch(() => {});
      const last = (await sidecar.next((line) => 'disconnect' in line && 'counters' in line))['counters'] as MetricSnapshot[];
      t.is(valueOfBeats(last), 2.5);
    },
  );

  test.serial(`over ${transport}: counters go on from a killed Node sidecar to a Python one and back`, async (t) => {
    const { path } = place(t);
    const client = connect(counting, { path, ...options });
    t.teardown(() => client.close());
    const beats = client.counter('beats');
    const first = await startSidecar(t, path);
    await client.ready({ timeout: 20_000 });
    beats.add(1);
    t.is(valueOfBeats((await first.ask<ClientCounters[]>('counters'))[0]?.metrics ?? []), 1);
    await first.stop();
    await until('it is noticed', () => client.status().state === 'connecting');
    const second = await pythonSidecar(t, path);
    await client.ready({ timeout: 20_000 });
    beats.add(10);
    t.is(valueOfBeats((await askPython(second))[0] ?? []), 11);
    await second.kill();
    await until('it is noticed', () => client.status().state === 'connecting');
    const third = await startSidecar(t, path);
    await client.ready({ timeout: 20_000 });
    beats.add(100);
    t.is(valueOfBeats((await third.ask<ClientCounters[]>('counters'))[0]?.metrics ?? []), 111);
  });

  test.serial(`over ${transport}: an app killed at random never leaves less than it had counted before`, async (t) => {
    const { path } = place(t);
    const sidecar = await startSidecar(t, path);
    const before = await sidecar.ask<Resources>('resources');
    for (let round = 0; round < 5; round++) {
      const app = await startApp(t, { path, ...options });
      await app.ask('ready');
      await app.ask('blockLoop');
      let seen = 0;
      await until('it counts', async () => {
        seen = valueOfBeats((await sidecar.ask<ClientCounters[]>('counters'))[0]?.metrics ?? []) ?? 0;
        return seen > 0;
      });
      await sleep(round * 3);
      await app.stop();
      const last: ClientCounters[] = [];
      await until('it has left', async () => {
        last.push(...(await sidecar.ask<ClientCounters[]>('takeLast')));
        return last.length > 0;
      });
      t.true((valueOfBeats(last[0]?.metrics ?? []) ?? 0) >= seen);
    }
    await until('everything was given back', async () => {
      const { descriptors, mappings } = await sidecar.ask<Resources>('resources');
      return descriptors <= before.descriptors && mappings <= before.mappings;
    });
  });
}
