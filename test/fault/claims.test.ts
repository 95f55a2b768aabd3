import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { type Claim, type ConnectOptions, connect, type ServeOptions } from '../../src/index.js';
import { conformance } from '../conformance/fixtures/contract.js';
import type { Heard } from '../conformance/fixtures/handlers.js';
import { type SuiteClient, startSidecar, type Transport, takeHeard, transportOptions } from '../conformance/fixtures/suite.js';
import { runPython } from '../fixtures/node/program.js';
import { digest, pattern } from '../helpers/bytes.js';
import type { Child } from '../helpers/child.js';
import { until } from '../helpers/deadline.js';
import { resources } from '../helpers/resources.js';
import { socketPath } from '../helpers/socket-path.js';

/** What becomes of claims, loans and borrowed views when a side dies. */

const MIB = 2 ** 20;
/** No loan of these tests would fit the ring. */
const ringBytes = { toServer: 65_536, toClient: 4096 };

function start(t: ExecutionContext, path: string, transport: Transport, options: ConnectOptions = {}): SuiteClient {
  const client = connect(conformance, { path, ...transportOptions(transport), ringBytes, arenaBytes: 8 * MIB, ...options });
  t.teardown(() => client.close());
  return client;
}

async function sidecarAt(t: ExecutionContext, path: string, options: ServeOptions = {}): Promise<Child> {
  const sidecar = await startSidecar(path, options);
  t.teardown(() => sidecar.stop());
  return sidecar;
}

function claimed(client: SuiteClient, name: 'frame' | 'blob' | 'keptFrame', bytes: Uint8Array): Claim {
  const claim = client.claim(name, bytes.length) as Claim;
  claim.view.set(bytes);
  return claim;
}

const seen = (heard: Heard[]): unknown[] => heard.map(({ value, redelivered }) => [value, redelivered]);

for (const transport of ['shm', 'socket'] as const) {
  for (const checkViews of [true, false]) {
    const how = `over ${transport}, with ${checkViews ? 'checked' : 'raw'} views`;

    test.serial(`what a killed sidecar had on loan is lent to the next one, in order, intact and marked, ${how}`, async (t) => {
      const path = socketPath();
      const first = await sidecarAt(t, path, { checkViews });
      const client = start(t, path, transport, { checkViews });
      await client.ready({ timeout: 20_000 });
      const before = resources();
      t.true(claimed(client, 'frame', pattern(MIB, 0)).commit());
      await takeHeard<Heard>(first, 1);
      // Retained: it keeps its place, and so does everything behind it.
      t.true(claimed(client, 'keptFrame', pattern(MIB, 1)).commit());
      t.true(client.send('note', { number: 2 }));
      t.true(claimed(client, 'frame', pattern(100_000, 3)).commit());
      await takeHeard<Heard>(first, 3);
      await first.stop();
      await until('the client has noticed', () => client.status().state === 'connecting');
      t.true(claimed(client, 'frame', pattern(MIB, 4)).commit());
      const second = await sidecarAt(t, path, { checkViews });
      t.deepEqual(seen(await takeHeard<Heard>(second, 4)), [
        [digest(pattern(MIB, 1)), true],
        [{ number: 2 }, true],
        [digest(pattern(100_000, 3)), true],
        [digest(pattern(MIB, 4)), false],
      ]);
      await second.ask('release', 0);
      await client.flush({ timeout: 20_000 });
      t.is(client.stats().arenaUsedBytes, 0);
      t.is(client.stats().eventsReplayed, 3);
      await until('everything is given back', () => resources().mappings <= before.mappings && resources().memfds <= before.memfds);
    });

    test.serial(`a claim that was open when the sidecar died can still be filled and committed, or aborted, ${how}`, async (t) => {
      const path = socketPath();
      const first = await sidecarAt(t, path);
      const client = start(t, path, transport, { checkViews });
      await client.ready({ timeout: 20_000 });
      const before = resources();
      const claims = [1, 2, 3].map((salt) => claimed(client, 'frame', pattern(MIB, salt).subarray(0, MIB / 2)));
      const whole = client.claim('frame', MIB) as Claim;
      whole.view.set(pattern(MIB, 9).subarray(0, MIB / 2));
      await first.stop();
      await until('the client has noticed', () => client.status().state === 'connecting');
      whole.view.set(pattern(MIB, 9).subarray(MIB / 2), MIB / 2);
      t.true(claims[0]?.commit());
      const second = await sidecarAt(t, path);
      await client.ready({ timeout: 20_000 });
      t.true(whole.commit());
      claims[1]?.abort();
      t.deepEqual(seen(await takeHeard<Heard>(second, 2)), [
        [digest(pattern(MIB, 1).subarray(0, MIB / 2)), false],
        [digest(pattern(MIB, 9)), false],
      ]);
      // One is left, and with it the arena in which it was made.
      t.is(client.stats().claimsOpen, 1);
      claims[2]?.abort();
      await client.flush({ timeout: 20_000 });
      t.is(client.stats().arenaUsedBytes, 0);
      await until('everything is given back', () => resources().mappings <= before.mappings && resources().memfds <= before.memfds);
    });
  }
}

test.serial('a claim that was open when the sidecar died waits for room in the new arena', async (t) => {
  const path = socketPath();
  const first = await sidecarAt(t, path);
  const client = start(t, path, 'shm', { arenaBytes: MIB });
  await client.ready({ timeout: 20_000 });
  const claim = claimed(client, 'frame', pattern(MIB));
  await first.stop();
  await until('the client has noticed', () => client.status().state === 'connecting');
  const other = claimed(client, 'frame', pattern(1000));
  t.false(claim.commit());
  t.is(claim.view.length, MIB);
  other.abort();
  t.true(claim.commit());
  const second = await sidecarAt(t, path);
  t.deepEqual(seen(await takeHeard<Heard>(second, 1)), [[digest(pattern(MIB)), false]]);
});

test.serial('loans follow from shared memory to the socket and back, larger than the ring as they are', async (t) => {
  const path = socketPath();
  const first = await sidecarAt(t, path);
  const client = start(t, path, 'shm');
  await client.ready({ timeout: 20_000 });
  t.is(client.status().transport, 'shm');
  const open = claimed(client, 'frame', pattern(MIB, 7));
  t.true(claimed(client, 'keptFrame', pattern(MIB, 1)).commit());
  await takeHeard<Heard>(first, 1);
  await first.stop();
  const second = await sidecarAt(t, path, { transport: 'socket' });
  await client.ready({ timeout: 20_000 });
  t.is(client.status().transport, 'socket');
  t.deepEqual(seen(await takeHeard<Heard>(second, 1)), [[digest(pattern(MIB, 1)), true]]);
  t.true(claimed(client, 'frame', pattern(MIB, 2)).commit());
  t.true(open.commit());
  t.is((await takeHeard<Heard>(second, 2)).length, 2);
  await second.stop();
  const third = await sidecarAt(t, path);
  t.deepEqual(
    seen(await takeHeard<Heard>(third, 3)),
    [1, 2, 7].map((salt) => [digest(pattern(MIB, salt)), true]),
  );
  t.is(client.status().transport, 'shm');
});

test.serial('claims committed while no sidecar is there are read by the first one, without a mark', async (t) => {
  for (const transport of ['shm', 'socket'] as const) {
    const path = socketPath();
    const client = start(t, path, transport);
    for (const salt of [1, 2, 3]) t.true(claimed(client, 'frame', pattern(MIB, salt)).commit());
    const sidecar = await sidecarAt(t, path);
    t.deepEqual(
      seen(await takeHeard<Heard>(sidecar, 3)),
      [1, 2, 3].map((salt) => [digest(pattern(MIB, salt)), false]),
    );
  }
});

test.serial('a sidecar that leaves in order hands its loans on without a mark', async (t) => {
  for (const transport of ['shm', 'socket'] as const) {
    const path = socketPath();
    const first = await sidecarAt(t, path);
    const client = start(t, path, transport);
    await client.ready({ timeout: 20_000 });
    await first.ask('close');
    await first.stop();
    t.true(claimed(client, 'frame', pattern(MIB, 1)).commit());
    const second = await sidecarAt(t, path);
    t.deepEqual(seen(await takeHeard<Heard>(second, 1)), [[digest(pattern(MIB, 1)), false]]);
  }
});

test.serial('a killed app leaves what it had committed, and nothing of the claim that was open', async (t) => {
  for (const checkViews of [true, false]) {
    const path = socketPath();
    const sidecar = await sidecarAt(t, path, { checkViews });
    const before = await sidecar.ask<ReturnType<typeof resources>>('resources');
    const app = spawn(process.execPath, [fileURLToPath(new URL('../fixtures/node/claimant.js', import.meta.url)), path, '3', String(MIB)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = once(app, 'close');
    await once(app.stdout, 'data');
    sidecar.signal('SIGSTOP');
    app.stdin.end('go');
    t.deepEqual(await ended, [null, 'SIGKILL']);
    sidecar.signal('SIGCONT');
    t.deepEqual(
      seen(await takeHeard<Heard>(sidecar, 3)),
      [0, 1, 2].map((salt) => [digest(pattern(MIB, salt)), false]),
    );
    await until('the sidecar has given everything back', async () => {
      const now = await sidecar.ask<ReturnType<typeof resources>>('resources');
      return now.mappings === before.mappings && now.descriptors === before.descriptors;
    });
    t.deepEqual(await sidecar.ask('takeDisconnects'), [null]);
  }
});

test.serial('a sidecar in Python reads loans, and the next one what it had not released', async (t) => {
  for (const transport of ['shm', 'socket'] as const) {
    const path = socketPath();
    const names = ['frame=collect:raw', 'blob=collect:raw', 'keptFrame=hold:raw'].flatMap((name) => ['--name', name]);
    const python = runPython(t, 'server.py', ['--path', path, '--contract', 'conformance', ...names]);
    await python.next('listening');
    const client = start(t, path, transport);
    await client.ready({ timeout: 20_000 });
    t.is(client.status().transport, transport);
    for (const name of ['frame', 'blob', 'keptFrame'] as const) t.true(claimed(client, name, pattern(100_000, name.length)).commit());
    for (const name of ['frame', 'blob', 'keptFrame'] as const) {
      const line = await python.next((said) => said['event'] === name);
      const sha256 = createHash('sha256').update(pattern(100_000, name.length)).digest('hex');
      t.deepEqual(line['value'], { $bytes: 100_000, $sha256: sha256 });
    }
    await until('two are released', () => client.stats().arenaUsedBytes < 200_000);
    await python.kill();
    const next = await sidecarAt(t, path);
    t.deepEqual(seen(await takeHeard<Heard>(next, 1)), [[digest(pattern(100_000, 9)), true]]);
  }
});

/** What a sidecar may do to a loan's record before it dies. Offsets in 32-bit words of the ring. */
const scribbles: [string, (words: Int32Array) => void][] = [
  ['another place', (words) => words.set([64, 5], 4)],
  ['a place outside of the arena', (words) => words.set([-64, 0x7fffffff], 4)],
  ['another target', (words) => (words[1] = 1 | (8 << 8) | (77 << 16))],
  ['another sequence number', (words) => (words[2] = 99)],
  ['an impossible length', (words) => (words[0] = 0x7fffffff)],
  ['zeros', (words) => words.fill(0)],
  ['an event before it that swallows it', (words) => words.set([3000, 1 | (2 << 16)], 6)],
];

for (const [what, scribble] of scribbles) {
  test.serial(`a dead sidecar cannot damage loans by what it left in the ring: ${what}`, async (t) => {
    const path = socketPath();
    const first = await sidecarAt(t, path);
    const client = start(t, path, 'shm');
    await client.ready({ timeout: 20_000 });
    t.true(claimed(client, 'keptFrame', pattern(MIB, 1)).commit());
    t.true(client.send('nothing'));
    t.true(claimed(client, 'frame', pattern(MIB, 2)).commit());
    await takeHeard<Heard>(first, 3);
    // The sidecar maps the very same memory.
    const { outbound } = (client as unknown as { session: { memory: { outbound: { words: Int32Array } } } }).session.memory;
    scribble(outbound.words.subarray(0, 16));
    await first.stop();
    const second = await sidecarAt(t, path);
    const loans: Heard[] = [];
    // The small event between them may come again, or not.
    await until('both loans have come again', async () => {
      loans.push(...(await second.ask<Heard[]>('takeHeard')).filter(({ name }) => name !== 'nothing'));
      return loans.length >= 2;
    });
    t.deepEqual(
      loans.map(({ name, value, sequence, redelivered }) => [name, value, sequence, redelivered]),
      [
        ['keptFrame', digest(pattern(MIB, 1)), 1, true],
        ['frame', digest(pattern(MIB, 2)), 3, true],
      ],
    );
    t.deepEqual(await second.ask('takeDisconnects'), []);
    await second.ask('release', 0);
    await client.flush({ timeout: 20_000 });
    t.is(client.stats().arenaUsedBytes, 0);
  });
}

test.serial('an arena larger than the sidecar allows is refused, and the client says why', async (t) => {
  for (const transport of ['shm', 'socket'] as const) {
    const path = socketPath();
    await sidecarAt(t, path, { maxArenaBytes: MIB });
    const client = start(t, path, transport, { arenaBytes: 2 * MIB });
    await until('the refusal has arrived', () => /maxArenaBytes=1048576/.test(client.status().lastError?.message ?? ''));
    t.is((client.status().lastError as { code?: string }).code, 'ERR_PILLION_BAD_SEGMENT');
    const fitting = start(t, path, transport, { arenaBytes: MIB });
    await fitting.ready({ timeout: 20_000 });
  }
});
