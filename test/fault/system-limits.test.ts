import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { failing, stripping } from '../fixtures/node/calls.js';
import {
  checkNoChildren,
  type LedgerEntry,
  type Program,
  place,
  readLedger,
  runNode,
  type StartOptions,
  startApp,
  startSidecar,
  until,
} from '../fixtures/node/program.js';

/** Too few descriptors, too little memory, calls that the kernel refuses: a clear reason, the socket as the other road, and no accepted event lost. */

test.afterEach.always('no child is left', checkNoChildren);

const EPERM = 1;
const ENOMEM = 12;
const EMFILE = 24;
const ENOSPC = 28;
const ENOSYS = 38;
const ENOBUFS = 105;

interface Status {
  transport: string;
  fallbackReason?: string;
  lastError: { code: string; message: string } | null;
}

/** The app works over the socket, says why, and has warned once. */
async function isOnSocket(t: ExecutionContext, app: Program, reason: RegExp): Promise<void> {
  t.is(await app.ask('call', { name: 'echo', value: 'works' }), 'works');
  const status = await app.ask<Status>('status');
  t.is(status.transport, 'socket');
  t.regex(String(status.fallbackReason), reason);
  t.is(app.lines.filter((line) => 'warning' in line).length, 1, 'one warning');
  t.regex((app.lines.find((line) => 'warning' in line)?.['warning'] as { message: string } | undefined)?.message ?? '', reason);
  await app.ask('send', { count: 100 });
  await app.ask('flush');
}

const refusals: [title: string, reason: RegExp, start: StartOptions][] = [
  ['memfd_create is forbidden', /memfd_create.*EPERM/, { env: failing({ calls: ['memfd_create'], nth: 0, does: EPERM }) }],
  ['memfd_create is unknown', /memfd_create.*ENOSYS/, { env: failing({ calls: ['memfd_create'], nth: 0, does: ENOSYS }) }],
  ['no memory can be allocated', /fallocate.*ENOSPC/, { env: failing({ calls: ['fallocate'], nth: 0, does: ENOSPC }) }],
  ['no size can be set', /ftruncate.*ENOMEM/, { env: failing({ calls: ['ftruncate'], nth: 0, does: ENOMEM, from: 'pillion' }) }],
  ['nothing can be mapped', /mmap.*ENOMEM/, { env: failing({ calls: ['mmap'], nth: 0, does: ENOMEM, from: 'pillion' }) }],
  ['seals are refused', /fcntl.*EPERM/, { env: failing({ calls: ['fcntl'], nth: 0, does: EPERM, from: 'pillion' }) }],
  ['files must be smaller than a ring', /(ftruncate|fallocate).*EFBIG/, { shell: 'ulimit -f 100' }],
  ['the descriptor is lost on the way', /descriptor.*did not arrive/, { env: stripping() }],
];

for (const [title, reason, start] of refusals) {
  test.serial(`an app goes on over the socket, with the reason, when ${title}`, async (t) => {
    const { path, ledger } = place(t);
    await startSidecar(t, { path, ledger: ledger() });
    const app = await startApp(t, { path }, start);
    await isOnSocket(t, app, reason);
    t.is(readLedger(ledger()).length, 100);
  });
}

test.serial('an app with too little address space goes on over the socket', async (t) => {
  const { path } = place(t);
  await startSidecar(t, { path });
  const app = await startApp(t, { path, ringBytes: { toServer: 2 ** 25, toClient: 2 ** 25 } });
  await app.ask('ready');
  t.is((await app.ask<Status>('status')).transport, 'shm');
  const size = Number(/VmSize:\s+(\d+)/.exec(readFileSync(`/proc/${app.pid}/status`, 'utf8'))?.[1]) * 1024;
  execFileSync('prlimit', ['--pid', String(app.pid), `--as=${size + 100 * 2 ** 20}`]);
  // The old memory is still there when the new one, 128 MiB of addresses, is made.
  await startSidecar(t, { path, takeover: true });
  await until('the app has moved', async () => (await app.ask<{ connections: number }>('stats')).connections === 2);
  await isOnSocket(t, app, /mmap.*ENOMEM/);
});

test.serial('a sidecar that cannot map the memory says so, and serves over the socket', async (t) => {
  const { path, ledger } = place(t);
  await startSidecar(t, { path, ledger: ledger() }, { env: failing({ calls: ['mmap'], nth: 0, does: ENOMEM, from: 'pillion' }) });
  const app = await startApp(t, { path });
  await isOnSocket(t, app, /server cannot map.*mmap/i);
});

function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

test.serial('a sidecar without a free descriptor does not spin, keeps its clients, and takes new ones when it can', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, { path, handshakeTimeoutMs: 60_000 });
  const first = await startApp(t, { path });
  await first.ask('ready');
  const open = readdirSync(`/proc/${sidecar.pid}/fd`).length;
  execFileSync('prlimit', ['--pid', String(sidecar.pid), `--nofile=${open + 5}:4096`]);
  const crowd: Socket[] = [];
  t.teardown(() => {
    for (const socket of crowd) socket.destroy();
  });
  for (let i = 0; i < 30; i++) {
    const socket = connectSocket(path);
    socket.on('error', () => undefined);
    crowd.push(socket);
  }
  await sidecar.next((line) => /EMFILE/.test(JSON.stringify(line['refused'] ?? '')));
  const before = cpuMs(sidecar.pid);
  const { refused } = await counted(sidecar);
  await sleep(1000);
  const used = cpuMs(sidecar.pid) - before;
  t.log(`${used} ms of CPU in a second`);
  t.true(used < 300, `it spins: ${used} ms of CPU in a second`);
  t.true((await counted(sidecar)).refused - refused < 1000, 'it reports again and again');
  t.is(await first.ask('call', { name: 'echo', value: 'served' }), 'served');
  for (const socket of crowd) socket.destroy();
  execFileSync('prlimit', ['--pid', String(sidecar.pid), '--nofile=1024:4096']);
  const second = await startApp(t, { path });
  t.is(await second.ask('call', { name: 'echo', value: 'served' }), 'served');
  t.is((await first.ask<{ connections: number }>('stats')).connections, 1);
});

async function counted(sidecar: Program): Promise<{ refused: number }> {
  const { clientsRefused } = await sidecar.ask<{ clientsRefused: number }>('stats');
  return { refused: clientsRefused };
}

test.serial('a sidecar without the addon and without a free descriptor does not spin either', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, { path, handshakeTimeoutMs: 60_000 }, { env: { PILLION_NATIVE_PATH: '/nonexistent' } });
  const open = readdirSync(`/proc/${sidecar.pid}/fd`).length;
  execFileSync('prlimit', ['--pid', String(sidecar.pid), `--nofile=${open + 3}:4096`]);
  const crowd = Array.from({ length: 30 }, () => connectSocket(path).on('error', () => undefined));
  t.teardown(() => {
    for (const socket of crowd) socket.destroy();
  });
  await sleep(300);
  const before = cpuMs(sidecar.pid);
  await sleep(1000);
  const used = cpuMs(sidecar.pid) - before;
  t.true(used < 300, `it spins: ${used} ms of CPU in a second`);
  for (const socket of crowd) socket.destroy();
  execFileSync('prlimit', ['--pid', String(sidecar.pid), '--nofile=1024:4096']);
  const app = await startApp(t, { path });
  t.is(await app.ask('call', { name: 'echo', value: 'served' }), 'served');
});

// From "node itself does not start" to "enough for everything".
const FEW = [20, 44, 48, 52, 53, 54, 56, 58, 60, 62, 64, 68, 72, 80, 96, 128];
const EMFILE_TEXT = /EMFILE|too many open files/i;

test.serial('an app that may open few descriptors connects or says why not, and never hangs', async (t) => {
  const { path, ledger } = place(t);
  await startSidecar(t, { path, ledger: ledger() });
  let handled = 0;
  for (const limit of FEW) {
    const app = runNode(t, 'app', { path }, { shell: `ulimit -n ${limit}` });
    const isRunning = await app.next('running').then(
      () => true,
      () => false,
    );
    if (!isRunning) {
      t.regex(app.stderr, EMFILE_TEXT, `limit ${limit}`);
      continue;
    }
    await app.ask('send', { count: 10 });
    let status!: Status;
    await until('it has connected or failed', async () => {
      status = await app.ask<Status>('status');
      return status.transport !== undefined || status.lastError !== null;
    });
    t.log(`limit ${limit}: ${status.transport ?? status.lastError?.message}`);
    if (status.transport === undefined) {
      t.regex(String(status.lastError?.message), EMFILE_TEXT);
    } else {
      t.is(await app.ask('call', { name: 'echo', value: limit }), limit);
      await app.ask('flush');
      handled += 10;
    }
    await app.kill();
  }
  t.true(handled > 0);
  t.is(readLedger(ledger()).length, handled);
});

test.serial('an app without a free descriptor keeps what it accepts and connects when there is one again', async (t) => {
  const { path, ledger } = place(t);
  const first = await startSidecar(t, { path });
  const app = await startApp(t, { path });
  await app.ask('ready');
  await first.kill();
  await app.next('disconnected');
  const limit = (soft: number): void => {
    execFileSync('prlimit', ['--pid', String(app.pid), `--nofile=${soft}:4096`]);
  };
  // Below what is open already: no new one can be had.
  limit(10);
  await startSidecar(t, { path, ledger: ledger() });
  await app.ask('send', { count: 100 });
  await until('it fails for the descriptor', async () => EMFILE_TEXT.test((await app.ask<Status>('status')).lastError?.message ?? ''));
  await t.throwsAsync(app.ask('call', { name: 'echo', value: 1, timeout: 100 }), { code: 'ERR_PILLION_TIMEOUT' });
  limit(1024);
  await app.ask('flush');
  t.is(await app.ask('call', { name: 'echo', value: 1 }), 1);
  t.is(readLedger(ledger()).length, 100);
});

test.serial('a sidecar that may open few descriptors serves or says why not, and never hangs', async (t) => {
  const { path } = place(t);
  let served = 0;
  for (const limit of FEW) {
    const sidecar = runNode(t, 'sidecar', { path }, { shell: `ulimit -n ${limit}` });
    const line = await sidecar.next((said) => 'listening' in said || 'failed' in said).catch(() => null);
    let result = 'node does not start';
    if (line === null) t.regex(sidecar.stderr, EMFILE_TEXT, `limit ${limit}`);
    else if ('failed' in line) {
      const { code, message } = line['failed'] as { code: string; message: string };
      result = message;
      t.regex(code, /^ERR_PILLION_/);
      t.regex(message, EMFILE_TEXT);
    } else {
      const app = await startApp(t, { path });
      result = await app
        .ask('call', { name: 'echo', value: 'served', timeout: 1000 })
        .then(String, (error: { code: string }) => error.code);
      if (result !== 'served')
        t.true(
          sidecar.lines.some((said) => EMFILE_TEXT.test(JSON.stringify(said['refused'] ?? ''))),
          result,
        );
      await app.kill();
    }
    if (result === 'served') served++;
    t.log(`limit ${limit}: ${result}`);
    await sidecar.kill();
  }
  t.true(served > 0);
});

test.serial('more clients than allowed are refused with ERR_PILLION_BUSY, and come in when others leave', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, { path, maxConnections: 2 });
  const inside = [await startApp(t, { path }), await startApp(t, { path })];
  for (const app of inside) await app.ask('ready');
  const waiting = await startApp(t, { path });
  await waiting.ask('send', { count: 5 });
  await until('it is refused', async () => (await waiting.ask<Status>('status')).lastError?.code === 'ERR_PILLION_BUSY');
  t.is((await sidecar.ask<{ clients: number }>('stats')).clients, 2);
  for (const app of inside) t.is(await app.ask('call', { name: 'echo', value: 1 }), 1);
  await inside[0]?.kill();
  await waiting.ask('flush');
  t.is((await sidecar.ask<{ clients: number }>('stats')).clients, 2);
});

test.serial('a client whose rings are larger than allowed is told so', async (t) => {
  const { path } = place(t);
  await startSidecar(t, { path, maxRingBytes: 64 * 1024 });
  for (const transport of ['auto', 'socket'] as const) {
    const app = await startApp(t, { path, transport });
    await until('it is refused', async () => (await app.ask<Status>('status')).lastError !== null);
    const { lastError } = await app.ask<Status>('status');
    t.is(lastError?.code, 'ERR_PILLION_BAD_SEGMENT');
    t.regex(String(lastError?.message), /maxRingBytes/);
    await app.kill();
  }
});

function byClient(entries: LedgerEntry[]): Map<string, LedgerEntry[]> {
  const groups = new Map<string, LedgerEntry[]>();
  for (const entry of entries) groups.set(entry.client, [...(groups.get(entry.client) ?? []), entry]);
  return groups;
}

/** The failure may end the connection, and with it one call, but tells so at once, and the next connection answers. */
async function insist(t: ExecutionContext, app: Program, verb: 'call' | 'callSync', value: number): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    await app.ask('ready');
    const result = await app.ask(verb, { name: 'echo', value }).catch((error: { code: string }) => error.code);
    if (result === value) return;
    t.true(attempt === 0 && /PEER_DIED|NOT_CONNECTED/.test(String(result)), `${verb}: ${result}`);
  }
}

/** Every single system call of the addon fails once, one after the other. */
const CALLS = ['memfd_create', 'ftruncate', 'fallocate', 'fcntl', 'mmap', 'socket', 'connect', 'bind', 'listen', 'accept4', 'send', 'recv'];
const MORE_CALLS = ['sendmsg', 'recvmsg', 'getsockopt', 'flock'];

test.serial('an app whose n-th system call fails gets through in the end, for every n', async (t) => {
  const { path, ledger } = place(t);
  const sidecar = await startSidecar(t, { path, ledger: ledger() });
  let accepted = 0;
  let n = 0;
  for (let hasFailed = true; hasFailed && n < 100; ) {
    n++;
    const does = [ENOMEM, EMFILE, ENOBUFS][n % 3] as number;
    const app = runNode(t, 'app', { path }, { env: failing({ calls: [...CALLS, ...MORE_CALLS], nth: n, does, from: 'pillion.node' }) });
    await app.next('running');
    await app.ask('send', { count: 5 });
    accepted += 5;
    await insist(t, app, 'call', n);
    await app.ask('flush');
    await insist(t, app, 'callSync', n);
    hasFailed = /fault: /.test(app.stderr);
    if (hasFailed) t.log(`${app.stderr.trim().split('\n')[0]}: ${(await app.ask<Status>('status')).transport}`);
    await app.ask('close');
    await app.kill();
  }
  t.true(n > 10, 'the calls were not counted');
  for (const [, handled] of byClient(readLedger(ledger()))) {
    const once = handled.filter(({ redelivered }) => !redelivered).map(({ id }) => id);
    t.deepEqual(once, [1, 2, 3, 4, 5], 'each event is handled once, and again only with a mark');
  }
  t.is(new Set(readLedger(ledger()).map(({ id, client }) => `${client} ${id}`)).size, accepted);
  t.true(sidecar.isRunning);
});

test.serial('a sidecar whose n-th system call fails says why it cannot start, or serves in the end, for every n', async (t) => {
  const { path, ledger } = place(t);
  let n = 0;
  for (let hasFailed = true; hasFailed && n < 100; ) {
    n++;
    const does = [ENOMEM, EMFILE, ENOBUFS][n % 3] as number;
    const file = ledger(`ledger-${n}`);
    const env = failing({ calls: [...CALLS, ...MORE_CALLS], nth: n, does, from: 'pillion.node' });
    const sidecar = runNode(t, 'sidecar', { path, ledger: file }, { env });
    const line = await sidecar.next((said) => 'listening' in said || 'failed' in said);
    let result = 'served';
    if ('failed' in line) {
      const { code, message } = line['failed'] as { code: string; message: string };
      result = message;
      t.regex(code, /^ERR_PILLION_/);
      t.deepEqual(
        readdirSync(dirname(path)).filter((name) => name.startsWith('s.sock.') && name !== 's.sock.lock'),
        [],
        'its private socket is removed',
      );
    } else {
      const app = await startApp(t, { path });
      await app.ask('send', { count: 5 });
      await insist(t, app, 'call', n);
      await insist(t, app, 'call', n);
      await app.ask('flush');
      t.is(new Set(readLedger(file).map(({ id }) => id)).size, 5);
      await app.kill();
    }
    hasFailed = /fault: /.test(sidecar.stderr);
    if (hasFailed) t.log(`${sidecar.stderr.trim().split('\n')[0]}: ${result}`);
    await sidecar.kill();
  }
  t.true(n > 5, 'the calls were not counted');
});
