import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { Result, Row } from '../../../bench/result.js';
import type { Conditions } from '../../../bench/rig/lane.js';
import { judge } from '../../../bench/suite/bars.js';
import type { Effort } from '../../../bench/suite/scenarios.js';
import { quick, scenario } from '../../../bench/suite/scenarios.js';
import { runSuite } from '../../../bench/suite/suite.js';

/** What went wrong in a later round costs the row all of its figures, those of its good rounds too. */

const directory = mkdtempSync(join(tmpdir(), 'pillion-failed-rows-'));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

const plan = { runInMs: 10, warmupMs: 5, durationMs: 60 };
const effort: Effort = { ...quick, rounds: 3, plans: { flowing: plan, gapped: plan, open: plan, idle: plan } };

function pathOf(name: string): string {
  return fileURLToPath(new URL(`../../fixtures/bench/${name}.js`, import.meta.url));
}

/** The rows of a faulty transport and of a sound one beside it. */
async function rowsBeside(fault: string, conditions: Partial<Conditions>): Promise<[faulty: Row, sound: Row]> {
  const table = [scenario('call', [pathOf(fault), 'uds'], conditions)];
  const rows = await runSuite({ scenarios: table, effort, directory, progress() {} });
  return rows as [Row, Row];
}

const figures = [
  ...(['batch', 'p50Us', 'p90Us', 'p99Us', 'p999Us', 'p9999Us', 'maxUs', 'opsPerSec'] as const),
  ...(['cpuUsPerOp', 'appCpuUsPerOp', 'sidecarCpuUsPerOp', 'switchesPerOp', 'syscallsPerOp', 'timesLimit'] as const),
];

const faults: [title: string, fault: string, conditions: Partial<Conditions>, status: RegExp][] = [
  ['a crashed run', 'crashing', {}, /^failed: the sidecar ended by itself \(SIGKILL\)/],
  ['a run that missed its rate', 'stalling', { ratePerSec: 200 }, /^failed: rate missed: \d+ operations at ratePerSec=200/],
  [
    'a run that can’t catch up',
    'overtaxed',
    { ratePerSec: 2_000 },
    /^failed: rate missed: \d+ operations were answered at ratePerSec=2000/,
  ],
  ['a run that got no answers', 'silent', { ratePerSec: 200 }, /^failed: no answer to \d+ operations at ratePerSec=200/],
  [
    'a run that lost a message',
    'losing',
    { pattern: 'event' },
    /^failed: the sidecar complains: payload \d+ arrived out of order or damaged/,
  ],
  ['a run that doubled messages', 'doubling', { pattern: 'event' }, /^failed: the sidecar complains: payload \d+ arrived out of order/],
  ['a run that damaged replies', 'damaging', {}, /^failed: payload \d+ arrived out of order or damaged/],
];

for (const [title, fault, conditions, status] of faults) {
  test.serial(`${title} marks its row failed and leaves it no figures, and its neighbour is measured`, async (t) => {
    const [faulty, sound] = await rowsBeside(fault, conditions);
    t.regex(faulty.status, status);
    t.deepEqual(
      figures.filter((name) => faulty[name] !== null),
      [],
    );
    t.like(faulty, { rounds: 0, count: 0, curve: [], p50UsRounds: [], opsPerSecRounds: [], extras: {} });
    // A rate may be missed by anybody on a busy machine; nothing else may happen to a sound transport.
    t.regex(sound.status, /^ok$|^failed: rate missed/);
    if (sound.status === 'ok') t.is(sound.rounds, 3);
  });
}

test.serial('what has not even started when the time is up is skipped, and nothing failed', async (t) => {
  const table = [scenario('call', ['uds', 'shm'])];
  for (const budgetMs of [0, 10]) {
    const rows = await runSuite({ scenarios: table, effort: { ...effort, budgetMs }, directory, progress() {} });
    for (const { status } of rows) t.is(status, 'skipped: the time was up', `budgetMs=${budgetMs}`);
  }
});

test('a failed side leaves a ratio unmeasured', (t) => {
  const row = (transport: string, status: string, p50Us: number | null) => {
    const conditions = { ...scenario('call', []), transports: undefined };
    return { ...conditions, scenario: 'call', transport, status, p50Us, rounds: 1, p50UsRounds: [], opsPerSecRounds: [] } as unknown as Row;
  };
  const verdicts = judge([row('shm', 'ok', 1), row('uds', 'failed: invented', null), row('http', 'ok', 100)]);
  t.like(
    verdicts.find(({ what }) => what === 'uds / call'),
    { value: null, verdict: 'not measured' },
  );
  t.is(verdicts.find(({ what }) => what === 'http / call')?.value, 100);
});

async function runCommand(args: readonly string[]): Promise<{ code: number; rows: Row[]; text: string }> {
  const json = join(mkdtempSync(join(directory, 'run-')), 'result.json');
  const command = [fileURLToPath(new URL('../../../bench/run.js', import.meta.url)), ...args, '--duration', '0.1', '--json', json];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  const [code] = (await once(child, 'close')) as [number];
  const { rows } = JSON.parse(readFileSync(json, 'utf8')) as Result;
  return { code, rows, text };
}

test.serial('the command ends with 1 when a row crashed, and says which and why', async (t) => {
  const { code, rows, text } = await runCommand(['--transports', `${pathOf('crashing')},uds`]);
  t.is(code, 1);
  t.deepEqual(
    rows.map(({ status }) => status === 'ok'),
    [false, true],
  );
  t.regex(text, /own, .*crashing\.js: failed: the sidecar ended by itself/);
});

test.serial('a missed rate costs its row the figures, but is no failure of the command', async (t) => {
  const { code, rows } = await runCommand(['--transports', pathOf('stalling'), '--rate', '200']);
  t.is(code, 0);
  t.like(rows[0], { p50Us: null, opsPerSec: null });
  t.regex(rows[0]?.status ?? '', /^failed: rate missed/);
});
