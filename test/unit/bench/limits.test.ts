import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Unavailable } from '../../../bench/rig/questions.js';
import { loadTransport } from '../../../bench/transports/index.js';
import type { Link, OwnMeasurement, Place } from '../../../bench/transports/transport.js';
import { until } from '../../helpers/deadline.js';

const kiB = 1_024;
const miB = 1_024 * kiB;
const run = mkdtempSync(join(tmpdir(), 'pillion-limits-'));

test.after.always(() => rmSync(run, { recursive: true, force: true }));

function placeFor(payloadBytes: number, gapUs: number): Place {
  const directory = mkdtempSync(join(run, 'lane-'));
  return { directory, payloadBytes, itemBytes: payloadBytes, gapUs, pattern: 'call', oneWay: false, clients: 1, openLoop: false };
}

async function open(name: string, payloadBytes: number, gapUs = 0): Promise<Link> {
  return (await loadTransport(name)).connect(placeFor(payloadBytes, gapUs), '');
}

async function measure(link: Link, durationMs: number, warmupMs = 0): Promise<OwnMeasurement> {
  const measured = await link.measure?.(durationMs, warmupMs);
  if (!measured) throw new Error('a limit brings its own loop');
  return measured;
}

/** The programs compiled below this test's folder that are running now. */
function running(): string[] {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && executableOf(pid).startsWith(run));
}

function executableOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return '';
  }
}

const cases: [name: string, payloadBytes: number, batch: number, gapUs?: number][] = [
  ['limit-line', 8, 16],
  ['limit-syscall', 8, 16],
  ['limit-ring', 16, 16],
  ['limit-ring', 67, 16],
  ['limit-ring', 64 * kiB, 1],
  ['limit-ring', 16 * miB, 1],
  ['limit-stream', 64, 16],
  ['limit-stream', 1_001, 16],
  ['limit-stream', 16 * miB, 1],
  ['limit-memcpy', 64, 16],
  ['limit-memcpy', 16 * miB, 1],
  ['limit-wake', 64, 1, 1_000],
  ['limit-wake', 64, 1, 0],
];

for (const [name, payloadBytes, batch, gapUs] of cases) {
  test.serial(`${name} measures ${payloadBytes} bytes with gapUs=${gapUs ?? 0}, and ends`, async (t) => {
    const link = await open(name, payloadBytes, gapUs);
    const { latency, ...measured } = await measure(link, 120, 30);
    t.true(measured.count > 0 && measured.count % batch === 0, `count=${measured.count}`);
    t.is(measured.batch, batch);
    t.true(measured.elapsedMs >= 120 && measured.cpuUs > 0);
    t.true(latency !== undefined && latency.p50Us > 0 && latency.p50Us <= latency.p99Us && latency.p99Us <= latency.maxUs);
    t.deepEqual(running(), []);
  });
}

test.serial('memcpy also says how many bytes a second it copies', async (t) => {
  const link = await open('limit-memcpy', miB);
  const { extras, latency } = await measure(link, 50, 10);
  const mibPerSec = extras?.['mibPerSec'] ?? 0;
  t.true(Math.abs(mibPerSec * (latency?.p50Us ?? 0) - 1e6) < 1);
});

test.serial('a gap is no part of the latency, but of the time', async (t) => {
  const link = await open('limit-wake', 64, 5_000);
  const { count } = await measure(link, 200);
  t.true(count > 0 && count <= 41, `count=${count}`);
});

test.serial('a payload that no program takes is an error that says why', async (t) => {
  const link = await open('limit-ring', 65 * miB);
  await t.throwsAsync(measure(link, 50), { message: /payload bytes must be from 1 to 64 MiB/ });
});

test.serial('the lanes of a run share one program', (t) => {
  const programs = readdirSync(run).filter((name) => !name.startsWith('lane-'));
  t.is(programs.length, 1, programs.join(' '));
});

test.serial('without a compiler the limits are skipped', async (t) => {
  const before = process.env['CXX'];
  process.env['CXX'] = '/no/such/compiler';
  try {
    const error = await t.throwsAsync(open('limit-line', 8), { instanceOf: Unavailable });
    t.regex(error.message, /CXX=\/no\/such\/compiler/);
  } finally {
    if (before === undefined) delete process.env['CXX'];
    else process.env['CXX'] = before;
  }
});

/** Starts measurements in a process of their own, one after the other. */
function startApp(names: readonly string[], durationMs: number, command: readonly string[] = []): ChildProcess {
  const index = new URL('../../../bench/transports/index.js', import.meta.url).href;
  const script = `
    const { loadTransport } = await import(${JSON.stringify(index)});
    for (const name of ${JSON.stringify(names)}) {
      const link = await (await loadTransport(name)).connect(${JSON.stringify(placeFor(64, 1_000))}, '');
      const { count } = await link.measure(${durationMs}, 0);
      if (!(count > 0)) throw new Error(name);
    }`;
  const line = [...command, process.execPath, '--input-type=module', '--eval', script];
  return spawn(line[0] as string, line.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] });
}

for (const name of ['limit-ring', 'limit-stream', 'limit-line', 'limit-wake']) {
  test.serial(`both processes of ${name} die with a killed app`, async (t) => {
    const app = startApp([name], 60_000);
    await until('both processes run', () => running().length === 2);
    app.kill('SIGKILL');
    await once(app, 'exit');
    await until('both processes are gone', () => running().length === 0);
    t.deepEqual(running(), []);
  });
}

test.serial('where one process of a pair is killed, the measurement fails', async (t) => {
  const link = await open('limit-wake', 64, 1_000);
  const failed = t.throwsAsync(measure(link, 30_000), { message: /damaged, or not at all|SIG/ });
  await until('both processes run', () => running().length === 2);
  const isChild = (pid: string) => running().includes(parentOf(pid));
  const child = running().find(isChild);
  process.kill(Number(child), 'SIGKILL');
  await failed;
  t.deepEqual(running(), []);
});

function parentOf(pid: string): string {
  return /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
}

test.serial('spinning pairs get on with one CPU', async (t) => {
  const [, cpu = '0'] = /^Cpus_allowed_list:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  const app = startApp(['limit-line', 'limit-ring', 'limit-stream'], 100, ['taskset', '--cpu-list', cpu]);
  const [code] = (await once(app, 'exit')) as [number | null];
  t.is(code, 0);
});
