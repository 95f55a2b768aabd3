import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { connect, PillionError, type ServeOptions } from '../../src/index.js';
import { fault } from '../fixtures/node/contract.js';
import { checkNoChildren, type Program, place, ROOT, run, runNode, startApp, startSidecar, until } from '../fixtures/node/program.js';

/** What may lie on a path, who may own it, and what happens when two want it. */

test.afterEach.always('no child is left', checkNoChildren);

const isRoot = process.getuid?.() === 0;

/** Starts a sidecar that must not come up; returns its error. */
async function failure(t: ExecutionContext, options: ServeOptions, start = {}): Promise<{ code: string; message: string }> {
  const program = runNode(t, 'sidecar', options, start);
  const line = await program.next((said) => 'failed' in said || 'listening' in said);
  t.true('failed' in line, 'it listens');
  t.is((await program.end()).code, 1);
  return line['failed'] as { code: string; message: string };
}

async function serves(t: ExecutionContext, path: string): Promise<void> {
  const app = await startApp(t, { path });
  t.is(await app.ask('call', { name: 'echo', value: 'served' }), 'served');
  await app.kill();
}

test.serial('a second server on the path is refused with ERR_PILLION_ADDRESS_IN_USE and the first one serves on', async (t) => {
  const { path } = place(t);
  await startSidecar(t, { path });
  const { ino } = statSync(path);
  t.is((await failure(t, { path })).code, 'ERR_PILLION_ADDRESS_IN_USE');
  const withoutAddon = { env: { PILLION_NATIVE_PATH: '/nonexistent' } };
  t.is((await failure(t, { path }, withoutAddon)).code, 'ERR_PILLION_ADDRESS_IN_USE', 'one without the addon');
  t.is(statSync(path).ino, ino);
  await serves(t, path);
});

test.serial('a second server on the path of one without the addon is refused, too', async (t) => {
  const { path } = place(t);
  await startSidecar(t, { path }, { env: { PILLION_NATIVE_PATH: '/nonexistent' } });
  t.is((await failure(t, { path })).code, 'ERR_PILLION_ADDRESS_IN_USE');
  await serves(t, path);
});

test.serial('of two servers that start together exactly one wins, twenty times', async (t) => {
  const { path } = place(t);
  for (let round = 0; round < 20; round++) {
    const pair = [runNode(t, 'sidecar', { path }), runNode(t, 'sidecar', { path })];
    const lines = await Promise.all(pair.map((program) => program.next((line) => 'failed' in line || 'listening' in line)));
    t.is(lines.filter((line) => 'listening' in line).length, 1, `round ${round}: ${JSON.stringify(lines)}`);
    const loser = lines.find((line) => 'failed' in line)?.['failed'] as { code: string } | undefined;
    t.is(loser?.code, 'ERR_PILLION_ADDRESS_IN_USE');
    if (round % 5 === 0) await serves(t, path);
    // Killed, so that the next pair finds a stale socket.
    await Promise.all(pair.map((program) => program.kill()));
  }
  t.deepEqual(
    readdirSync(join(path, '..')).filter((name) => !/^s\.sock(\.lock)?$/.test(name)),
    [],
    'no private name is left',
  );
});

test.serial('the stale socket of a killed server is replaced', async (t) => {
  const { path } = place(t);
  const dead = await startSidecar(t, { path });
  await dead.kill();
  t.true(lstatSync(path).isSocket());
  await startSidecar(t, { path });
  await serves(t, path);
});

test.serial('whatever is not a socket stays on the path, and the error says what it is', async (t) => {
  const { dir, path } = place(t);
  const refused = async (what: RegExp): Promise<void> => {
    for (const takeover of [false, true]) {
      const { code, message } = await failure(t, { path, takeover });
      t.is(code, 'ERR_PILLION_SOCKET_PATH');
      t.regex(message, what);
      t.true(message.includes(path));
    }
  };
  writeFileSync(path, 'precious');
  await refused(/regular file/);
  t.is(readFileSync(path, 'utf8'), 'precious');
  unlinkSync(path);

  mkdirSync(path);
  await refused(/directory/);
  t.true(statSync(path).isDirectory());

  const other = join(dir, 'other.sock');
  const elsewhere = await startSidecar(t, { path: other });
  const link = join(dir, 'link.sock');
  symlinkSync(other, link);
  for (const target of [other, join(dir, 'missing')]) {
    unlinkSync(link);
    symlinkSync(target, link);
    t.is((await failure(t, { path: link })).code, 'ERR_PILLION_SOCKET_PATH');
    t.is(readlinkSync(link), target);
  }
  await serves(t, other);
  await elsewhere.kill();
});

test.serial('a directory that others could tamper with is refused, and allowed when asked for', async (t) => {
  const { dir } = place(t);
  for (const mode of [0o777, 0o755, 0o770, 0o701]) {
    const open = join(dir, `mode-${mode.toString(8)}`);
    mkdirSync(open);
    chmodSync(open, mode);
    const { code, message } = await failure(t, { path: join(open, 's.sock') });
    t.is(code, 'ERR_PILLION_SOCKET_PATH');
    t.regex(message, new RegExp(`mode 0${mode.toString(8)}`));
    t.deepEqual(readdirSync(open), []);
  }
  await startSidecar(t, { path: join(dir, 'mode-777', 's.sock'), allowSharedDirectory: true });
  await serves(t, join(dir, 'mode-777', 's.sock'));

  const real = join(dir, 'real');
  mkdirSync(real, { mode: 0o700 });
  symlinkSync(real, join(dir, 'alias'));
  t.regex((await failure(t, { path: join(dir, 'alias', 's.sock') })).message, /symbolic link/);

  writeFileSync(join(dir, 'file'), '');
  t.is((await failure(t, { path: join(dir, 'file', 's.sock') })).code, 'ERR_PILLION_SOCKET_PATH');
});

(isRoot ? test.serial : test.serial.skip)('the directory of another user is refused', async (t) => {
  const { dir } = place(t);
  const foreign = join(dir, 'foreign');
  mkdirSync(foreign, { mode: 0o700 });
  chownSync(foreign, 12345, 12345);
  const { code, message } = await failure(t, { path: join(foreign, 's.sock') });
  t.is(code, 'ERR_PILLION_SOCKET_PATH');
  t.regex(message, /uid 12345/);
});

(isRoot ? test.serial : test.serial.skip)('a process of another user is refused unless allowed', async (t) => {
  const { dir, path } = place(t);
  chmodSync(dir, 0o777);
  const other = ['--reuid=12345', '--regid=12345', '--clear-groups', process.execPath];
  if (spawnSync('setpriv', [...other, '-e', '0']).status !== 0) {
    t.log('not tried: another user cannot run this node');
    return t.pass();
  }
  const asOther = async (): Promise<Program> => {
    const script = join(ROOT, 'dist/test/fixtures/node/app.js');
    const app = run(t, 'app of another user', 'setpriv', [...other, script, JSON.stringify({ path })]);
    await app.next('running');
    return app;
  };
  const strict = await startSidecar(t, { path, allowSharedDirectory: true, mode: 0o666 });
  const refused = await asOther();
  const { refused: error } = (await strict.next('refused')) as { refused: { code: string; message: string } };
  t.is(error.code, 'ERR_PILLION_FORBIDDEN');
  t.regex(error.message, /12345/);
  await until('the app knows', async () => {
    const { lastError } = await refused.ask<{ lastError: { code: string } | null }>('status');
    return lastError?.code === 'ERR_PILLION_FORBIDDEN';
  });
  await refused.kill();
  await strict.kill();
  await startSidecar(t, { path, allowSharedDirectory: true, mode: 0o666, allow: { uids: [12345] } });
  const allowed = await asOther();
  t.is(await allowed.ask('call', { name: 'echo', value: 1 }), 1);
});

test.serial('a path that is too long is refused by both sides with the limit', async (t) => {
  const { dir } = place(t);
  const path = join(dir, 'x'.repeat(100));
  const { code, message } = await failure(t, { path });
  t.is(code, 'ERR_PILLION_SOCKET_PATH');
  t.regex(message, /at most \d+/);
  const error = t.throws(() => connect(fault, { path }), { instanceOf: PillionError });
  t.is((error as PillionError).code, 'ERR_PILLION_SOCKET_PATH');
  t.throws(() => connect(fault, { path: 'a\0b' }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
});

test.serial('the longest possible path works', async (t) => {
  const { dir } = place(t);
  const path = join(dir, 'x'.repeat(97 - Buffer.byteLength(dir) - 1));
  await startSidecar(t, { path });
  await serves(t, path);
});

test.serial('a missing directory is made, for this user alone; a socket is for this user alone whatever the umask', async (t) => {
  const { dir } = place(t);
  const path = join(dir, 'a', 'b', 's.sock');
  await startSidecar(t, { path }, { shell: 'umask 0' });
  t.is(statSync(join(dir, 'a', 'b')).mode & 0o777, 0o700);
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(statSync(`${path}.lock`).mode & 0o077, 0);
  await serves(t, path);
});

test.serial(
  'an app waits where there is no directory, a regular file or a stale socket, keeps what it accepts, and says why',
  async (t) => {
    const { dir } = place(t);
    const nowhere = join(dir, 'none', 's.sock');
    const file = join(dir, 'file.sock');
    writeFileSync(file, 'precious');
    const stale = join(dir, 'stale.sock');
    await (await startSidecar(t, { path: stale })).kill();
    for (const path of [nowhere, file, stale]) {
      const app = await startApp(t, { path });
      t.is(await app.ask('try', { name: 'note', value: 'kept', count: 3 }), 3);
      await until('it has tried', async () => (await app.ask<{ lastError: unknown }>('status')).lastError !== null);
      const { state, lastError } = await app.ask<{ state: string; lastError: { code: string; message: string } }>('status');
      t.is(state, 'connecting');
      t.regex(lastError.code, /^ERR_PILLION_/);
      t.true(lastError.message.includes(path));
      await t.throwsAsync(app.ask('call', { name: 'echo', value: 1, timeout: 50 }), { code: 'ERR_PILLION_TIMEOUT' });
      await t.throwsAsync(app.ask('callSync', { name: 'echo', value: 1 }), { code: 'ERR_PILLION_NOT_CONNECTED' });
      if (path === file) unlinkSync(file);
      const sidecar = await startSidecar(t, { path });
      await app.ask('flush');
      t.is((await sidecar.ask<{ eventsHandled: number }>('stats')).eventsHandled, 3);
      await app.kill();
      await sidecar.kill();
    }
  },
);

test.serial('a socket file that was deleted ends no connection, and its owner still holds the path', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, { path });
  const app = await startApp(t, { path });
  await app.ask('ready');
  unlinkSync(path);
  t.is(await app.ask('call', { name: 'echo', value: 1 }), 1);
  t.is((await failure(t, { path })).code, 'ERR_PILLION_ADDRESS_IN_USE');
  await sidecar.kill();
  await startSidecar(t, { path });
  t.is(await app.ask('call', { name: 'echo', value: 2 }), 2);
});

test.serial('a server that closes leaves a file that is not its own', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, { path });
  unlinkSync(path);
  writeFileSync(path, "somebody else's");
  await sidecar.ask('close');
  t.true(existsSync(path));
  t.is(readFileSync(path, 'utf8'), "somebody else's");
});
