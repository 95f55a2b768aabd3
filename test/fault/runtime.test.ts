import { cpSync, existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { connect, contract, event, method, serve } from '../../src/index.js';
import { native } from '../../src/native.js';
import {
  checkLedgers,
  checkNoChildren,
  checkResources,
  type Program,
  place,
  ROOT,
  readLedger,
  resourcesOf,
  runNode,
  type StartOptions,
  startApp,
  startSidecar,
  until,
} from '../fixtures/node/program.js';

/** Worker threads, exits, exceptions, flags of the runtime, and idleness. */

test.afterEach.always('no child is left', checkNoChildren);

// Its name from Node 23.5 on; 20 knows only the old one.
const permissionFlag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission';
// From Node 25 on sockets need a permission of their own.
const permissions = ['--allow-fs-read=*', '--allow-fs-write=*', '--allow-net'].filter((flag) =>
  process.allowedNodeEnvironmentFlags.has(flag.split('=')[0] as string),
);

type ServerStats = Record<'connections' | 'clients' | 'eventsHandled' | 'callsHandled', number>;

test.serial('fifty workers terminated in traffic, one after the other and ten at once, leave nothing behind on either side', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, { path });
  const app = runNode(t, 'workers', { path });
  await app.next('running');
  await app.ask('inTurn', { count: 2 });
  await app.ask('exiting', { count: 1 });
  await until('the sidecar is alone', async () => (await sidecar.ask<ServerStats>('stats')).clients === 0);
  const [appBefore, sidecarBefore] = [resourcesOf(app.pid), resourcesOf(sidecar.pid)];
  await app.ask('inTurn', { count: 30 }, 60_000);
  await app.ask('together', { count: 10 }, 60_000);
  await app.ask('exiting', { count: 10 }, 60_000);
  await until('the sidecar is alone', async () => (await sidecar.ask<ServerStats>('stats')).clients === 0);
  t.is((await sidecar.ask<ServerStats>('stats')).connections, 53);
  await checkResources(t, app.pid, appBefore);
  await checkResources(t, sidecar.pid, sidecarBefore);
  app.tell('letGo');
  t.deepEqual(await app.end(), { code: 0, signal: null }, app.stderr);
});

test.serial('a server in a worker that is terminated is as good as a killed one: the app goes to the next', async (t) => {
  const { path } = place(t);
  const app = await startApp(t, { path });
  const host = runNode(t, 'workers', { path });
  await host.next('running');
  await host.ask('inTurn', { count: 5, how: 'server' }, 60_000);
  await startSidecar(t, { path });
  t.is(await app.ask('call', { name: 'echo', value: 'served' }), 'served');
  t.is((await app.ask<{ connections: number }>('stats')).connections, 6);
});

for (const transport of ['auto', 'socket'] as const) {
  const over = `over ${transport === 'auto' ? 'shm' : 'socket'}`;

  for (const [how, code] of [
    ['exit', 7],
    ['exitLater', 7],
    ['uncaught', 1],
    ['kill', null],
  ] as const) {
    test.serial(`${over}: a sidecar that ends by "${how}" inside a handler is replaced; its event is handled again or done`, async (t) => {
      const { path, ledger } = place(t);
      const first = await startSidecar(t, { path, ledger: ledger('1') });
      const app = await startApp(t, { path, transport });
      await app.ask('ready');
      await app.ask('send', { count: 50 });
      await app.ask('flush');
      // The answer may get out before the end does.
      const isInside = how === 'exit' || how === 'kill';
      const call = app.ask('call', { name: 'end', value: how, timeout: 15_000 }).then(
        () => t.false(isInside),
        (error: { code: string }) => t.is(error.code, 'ERR_PILLION_PEER_DIED'),
      );
      const last = await app.ask<number>('send', { count: 50 });
      t.deepEqual(await first.end(), { code, signal: code === null ? 'SIGKILL' : null }, first.stderr);
      await call;
      await startSidecar(t, { path, ledger: ledger('2') });
      await app.ask('flush');
      checkLedgers(t, [readLedger(ledger('1')), readLedger(ledger('2'))], last);
    });
  }

  for (const [where, code] of [
    ['reply', 9],
    ['connect', 9],
    ['disconnect', 9],
    ['uncaught', 1],
  ] as const) {
    test.serial(`${over}: an app that ends in "${where}" ends as it wanted, and the sidecar serves on`, async (t) => {
      const { path } = place(t);
      const other = await startApp(t, { path, transport });
      let sidecar = await startSidecar(t, { path });
      await other.ask('ready');
      const before = resourcesOf(sidecar.pid);
      const app = await startApp(t, { path, transport });
      await app.ask('ready');
      await app.ask('exitIn', { where });
      if (where === 'connect' || where === 'disconnect') {
        await sidecar.kill();
        sidecar = await startSidecar(t, { path });
      }
      t.deepEqual(await app.end(), { code, signal: null }, app.stderr);
      await until('it has gone', async () => (await sidecar.ask<ServerStats>('stats')).clients <= 1);
      t.is(await other.ask('call', { name: 'echo', value: 'served' }), 'served');
      await checkResources(t, sidecar.pid, before);
    });
  }

  test.serial(`${over}: an idle client, connected or not, keeps no process alive; a waiting call does`, async (t) => {
    const { path } = place(t);
    const alone = await startApp(t, { path, transport });
    alone.tell('letGo');
    t.deepEqual(await alone.end(), { code: 0, signal: null }, alone.stderr);
    const sidecar = await startSidecar(t, { path });
    const idle = await startApp(t, { path, transport });
    await idle.ask('call', { name: 'echo', value: 1 });
    await idle.ask('send', { count: 100 });
    idle.tell('letGo');
    t.deepEqual(await idle.end(), { code: 0, signal: null }, idle.stderr);
    await sidecar.next('disconnect');
    t.is((await sidecar.ask<ServerStats>('stats')).eventsHandled, 100, 'what it had sent is handled');
    const waiting = await startApp(t, { path, transport });
    await waiting.ask('ready');
    const call = waiting.ask('call', { name: 'slow', value: 500 });
    waiting.tell('letGo');
    t.is(await call, 500);
    t.deepEqual(await waiting.end(), { code: 0, signal: null }, waiting.stderr);
  });

  test.serial(`${over}: a sidecar that was told not to keep its process alive ends, clients or not`, async (t) => {
    const { path } = place(t);
    const sidecar = await startSidecar(t, { path });
    const app = await startApp(t, { path, transport });
    await app.ask('call', { name: 'echo', value: 1 });
    await sidecar.ask('unref');
    sidecar.tell('letGo');
    t.deepEqual(await sidecar.end(), { code: 0, signal: null }, sidecar.stderr);
  });

  test.serial(`${over}: after traffic nobody computes and no timer is left`, async (t) => {
    const { path } = place(t);
    const sidecar = await startSidecar(t, { path });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    await app.ask('start', { perTurn: 10, calls: true });
    await sleep(300);
    await app.ask('stop');
    await app.ask('flush');
    // Longer than any linger and any call's deadline.
    await sleep(500);
    type Usage = { user: number; system: number };
    const usage = async (): Promise<Usage[]> => [await app.ask<Usage>('usage'), await sidecar.ask<Usage>('usage')];
    const before = await usage();
    await sleep(3000);
    const after = await usage();
    const ms = after.map(({ user, system }, i) => (user + system - (before[i]?.user ?? 0) - (before[i]?.system ?? 0)) / 1000);
    t.log(`CPU in 3 s: app ${ms[0]} ms, sidecar ${ms[1]} ms`);
    // Detects what spins or polls, nothing finer.
    for (const used of ms) t.true(used < 300);
    for (const program of [app, sidecar]) {
      // A call that was answered may leave its deadline behind, once.
      const resources = await program.ask<string[]>('resources');
      t.true(resources.filter((name) => name === 'Timeout' || name === 'Immediate').length === 0, resources.join());
    }
  });
}

test.serial('a single event or call after any silence is handled, though nothing else wakes the sidecar', async (t) => {
  const { path, ledger } = place(t);
  await startSidecar(t, { path, ledger: ledger() });
  const app = await startApp(t, { path });
  await app.ask('ready');
  let sent = 0;
  // Awake, dozing, between both, asleep; nobody asks the sidecar anything meanwhile, only its file is looked at.
  for (const silence of [0, 1, 2, 5, 20, 90, 99, 100, 101, 110, 150, 300, 1000]) {
    for (let round = 0; round < 3; round++) {
      await sleep(silence);
      sent = await app.ask<number>('send', { count: 1 });
      await until(`event ${sent} is handled after ${silence} ms`, () => readLedger(ledger()).length === sent, 5000);
    }
    await sleep(silence);
    t.is(await app.ask('call', { name: 'echo', value: silence, timeout: 4000 }), silence);
    await sleep(silence);
    t.is(await app.ask('callSync', { name: 'echo', value: silence, timeout: 4000 }), silence);
  }
  t.is(checkLedgers(t, [readLedger(ledger())], sent), 0);
});

test.serial('bytes that a handler or a caller keeps are their own: they outlive the connection unchanged', async (t) => {
  const { path } = place(t);
  const kept: Uint8Array[] = [];
  const raw = contract('raw', { blob: event<Uint8Array>({ codec: 'raw' }), echo: method<Uint8Array, Uint8Array>({ codec: 'raw' }) });
  const server = await serve(
    raw,
    {
      blob: (bytes) => void kept.push(bytes),
      echo: (bytes) => {
        kept.push(bytes);
        return bytes;
      },
    },
    { path },
  );
  const client = connect(raw, { path });
  const sizes = [0, 1, 63, 64, 65, 1000, 60_000, 200_000];
  for (const [i, size] of sizes.entries()) {
    t.true(client.send('blob', new Uint8Array(size).fill(i + 1)));
    kept.push(await client.call('echo', new Uint8Array(size).fill(i + 1), { timeout: 10_000 }));
  }
  // Over and over what they lay in.
  for (let i = 0; i < 2000; i++) if (!client.send('blob', new Uint8Array(100))) await client.flush({ timeout: 10_000 });
  await client.close();
  await server.close();
  const own = kept.slice(0, 3 * sizes.length);
  t.true(own.every((bytes) => sizes.includes(bytes.length)));
  t.true(own.every((bytes) => bytes.every((byte) => byte === sizes.indexOf(bytes.length) + 1)));
});

test.serial('a view of a segment that was closed is empty, and writing to it does nothing', (t) => {
  const result = native();
  if (result.addon === null) return t.fail(result.reason);
  const segment = result.addon.Segment.create(4096, 4096);
  const { buffer } = segment;
  const view = new Uint8Array(buffer);
  t.true(view.length > 8192);
  segment.close();
  segment.close();
  t.is(buffer.byteLength, 0);
  t.is(view.length, 0);
  view[0] = 1;
  t.false(0 in view);
});

const withoutAddon: [title: string, reason: RegExp, start: StartOptions][] = [
  ['the addon is missing', /\/nonexistent/, { env: { PILLION_NATIVE_PATH: '/nonexistent' } }],
  ['the addon is no addon', /could not be loaded/, { env: { PILLION_NATIVE_PATH: join(ROOT, 'package.json') } }],
  ['node was started with --no-addons', /--no-addons/, { node: ['--no-addons'] }],
  ['the permission model forbids addons', /permission/, { node: [permissionFlag, ...permissions], env: { NODE_NO_WARNINGS: '0' } }],
];

function fallbackWarnings(program: Program): string[] {
  return program.lines
    .filter((line) => 'warning' in line)
    .map((line) => (line['warning'] as { message: string }).message)
    .filter((message) => message.includes('socket'));
}

for (const [title, reason, start] of withoutAddon) {
  test.serial(`an app goes on over the socket when ${title}, and says so once`, async (t) => {
    const { path, ledger } = place(t);
    const sidecar = await startSidecar(t, { path, ledger: ledger('1') });
    const app = await startApp(t, { path }, start);
    await works(t, app, reason);
    t.regex(fallbackWarnings(app).join(), reason);
    // Killed and back: still one warning.
    await sidecar.kill();
    await startSidecar(t, { path, ledger: ledger('2') });
    t.is(await app.ask('call', { name: 'echo', value: 2 }), 2);
    t.is(fallbackWarnings(app).length, 1, JSON.stringify(fallbackWarnings(app)));
    checkLedgers(t, [readLedger(ledger('1')), readLedger(ledger('2'))], 100);
  });

  test.serial(`a sidecar serves over the socket when ${title}, and its apps say so once`, async (t) => {
    const { path } = place(t);
    await startSidecar(t, { path }, start);
    const app = await startApp(t, { path });
    await works(t, app, reason);
    t.is(fallbackWarnings(app).length, 1);
  });

  test.serial(`both sides work when ${title} on both`, async (t) => {
    const { path } = place(t);
    await startSidecar(t, { path }, start);
    await works(t, await startApp(t, { path }, start), reason);
  });
}

async function works(t: ExecutionContext, app: Program, reason: RegExp): Promise<void> {
  t.is(await app.ask('call', { name: 'echo', value: 'works' }), 'works');
  t.is(await app.ask('callSync', { name: 'echo', value: 'works' }), 'works');
  await app.ask('send', { count: 100 });
  await app.ask('flush');
  const { transport, fallbackReason } = await app.ask<{ transport: string; fallbackReason: string }>('status');
  t.is(transport, 'socket');
  t.regex(fallbackReason, reason);
}

test.serial('two copies of the package in one process talk to each other, each with its own addon', async (t) => {
  const { dir, path } = place(t);
  const copies = ['a', 'b'].map((name) => {
    const copy = join(dir, name);
    for (const part of ['package.json', 'dist/src', 'build/Release/pillion.node'])
      cpSync(join(ROOT, part), join(copy, part), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    return copy;
  });
  t.true(existsSync(join(copies[1] as string, 'build/Release/pillion.node')));
  const program = runNode(t, 'two-copies', { copies, path });
  await program.next('running');
  t.deepEqual(await program.ask('talk'), {
    isDistinct: true,
    both: [
      { transport: 'shm', noted: 19900, isRight: true },
      { transport: 'shm', noted: 19900, isRight: true },
    ],
  });
  program.tell('letGo');
  t.deepEqual(await program.end(), { code: 0, signal: null }, program.stderr);
});
