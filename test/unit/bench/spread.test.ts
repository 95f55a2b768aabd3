import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { readRequest } from '../../../bench/options.js';
import type { Row, Verdict } from '../../../bench/result.js';
import { formatSeries } from '../../../bench/spread/output.js';
import type { Run } from '../../../bench/spread/spread.js';
import { spreadsOf } from '../../../bench/spread/spread.js';
import { bars, judge } from '../../../bench/suite/bars.js';
import { full, headline, headlineScenarios, scenarios } from '../../../bench/suite/scenarios.js';
import { plannedMs } from '../../../bench/suite/suite.js';
import { sampleResult } from '../../fixtures/bench/sample.js';

function verdict(what: string, value: number | null, unit = 'x'): Verdict {
  return { what, value, unit, placement: 'held', rounds: [], bar: '', aim: '', verdict: '-' };
}

function run(...verdicts: Verdict[]): Run {
  return { date: '2026-01-01T00:00:00.000Z', loadAverage: 0.5, machine: null, verdicts, rows: [] };
}

test('the spread of a ratio is the widest distance of two runs, in shares of the median', (t) => {
  const [spread] = spreadsOf([100, 95, 104].map((value) => run(verdict('uds / call', value))));
  t.like(spread, { what: 'uds / call', isRatio: true, values: [100, 95, 104], median: 100, least: 95, most: 104, spread: 0.09 });
});

test('ratios come before values, and a run without a value keeps its place', (t) => {
  const spreads = spreadsOf([run(verdict('call', 1, 'us'), verdict('uds / call', 10)), run(verdict('uds / call', null))]);
  t.deepEqual(
    spreads.map(({ what, values, spread }) => [what, values, spread]),
    [
      ['uds / call', [10, null], null],
      ['call', [1, null], null],
    ],
  );
});

test('a ratio that was not measured in all runs does not count as steady', (t) => {
  const runs = [
    run(verdict('http / call', 100), verdict('uds / call', 10), verdict('fetch / call', 100)),
    run(verdict('http / call', 101), verdict('uds / call', 14), verdict('fetch / call', null)),
    run(verdict('http / call', 102), verdict('uds / call', 10), verdict('fetch / call', 100)),
  ];
  const text = formatSeries({ environment: sampleResult().environment, wanted: 5, runs });
  t.regex(text, /3 of 5 runs/);
  t.regex(text, /1 of 3 ratios stayed within 10 % in all runs; not: uds \/ call; fetch \/ call\./);
});

test('of each run is said what the machine itself took', (t) => {
  const machine = { line: 500, wake: 61_000, syscall: 250, memcpy: 45_000 };
  const runs = [{ ...run(verdict('uds / call', 10)), machine }, run(verdict('uds / call', 10))];
  const text = formatSeries({ environment: sampleResult().environment, wanted: 2, runs });
  t.regex(text, /run 1.*a cache line 0\.5 µs, a wake-up 61 µs, a system call 0\.25 µs, a copy of 1 MiB 45 µs\n/);
  t.regex(text, /run 2.*every row has figures\n/);
});

test('one run has no spread to judge', (t) => {
  const text = formatSeries({ environment: sampleResult().environment, wanted: 5, runs: [run(verdict('uds / call', 10))] });
  t.regex(text, /One run has no spread\./);
  t.notRegex(text, /stayed within/);
});

test('every ratio among the bars is measured with both sides held', (t) => {
  const rows = sampleResult().rows.filter((row) => row.scenario === 'limits' || row.placement === 'held');
  const known = judge(rows.map((row) => ({ ...row, status: 'ok' })));
  for (const { what, unit } of bars) {
    if (unit === 'x')
      t.like(
        known.find((each) => each.what === what),
        { placement: 'held' },
        what,
      );
  }
});

test('bars are read from the held rows, and from the scheduler’s where those could not be measured', (t) => {
  const { rows } = sampleResult();
  t.is(judge(rows).find(({ what }) => what === 'uds / call')?.placement, 'held');
  const withOneCpu = rows.map((row) =>
    row.placement === 'held' ? { ...row, status: 'skipped: only one CPU may be used', p50Us: null } : row,
  );
  const fallback = judge(withOneCpu).find(({ what }) => what === 'uds / call');
  t.is(fallback?.placement, 'free');
  t.not(fallback?.value, null);
});

test('both sides of a ratio come from rows of the same placement', (t) => {
  const { rows } = sampleResult();
  const broken = rows.map((row) => (row.placement === 'held' && row.transport === 'uds' ? { ...row, status: 'failed: invented' } : row));
  t.is(judge(broken).find(({ what }) => what === 'uds / call')?.placement, 'free');
  t.is(judge(broken).find(({ what }) => what === 'http / call')?.placement, 'held');
});

test('a ratio of rows that take turns is the median of the rounds’ ratios, and keeps each of them', (t) => {
  const row = (transport: string, p50UsRounds: number[], opsPerSecRounds: number[]) => {
    const conditions = headlineScenarios.find(({ name }) => name === 'call');
    const found = { ...conditions, scenario: 'call', transport, status: 'ok', p50Us: p50UsRounds[1], opsPerSec: 1, extras: {} };
    return { ...found, rounds: p50UsRounds.length, p50UsRounds, opsPerSecRounds } as unknown as Row;
  };
  const verdicts = judge([row('shm', [1, 2, 4], [3, 2, 1]), row('uds', [10, 30, 40], [1, 1, 1])]);
  t.like(
    verdicts.find(({ what }) => what === 'uds / call'),
    { value: 10, rounds: [10, 15, 10] },
  );
});

test('what is held of the headline is also measured as the scheduler places it', (t) => {
  for (const { name, pattern, payloadBytes, gapUs, transports } of headlineScenarios.filter(({ placement }) => placement === 'held')) {
    const free = scenarios.find((each) => {
      const isSame = each.name === name && each.pattern === pattern && each.payloadBytes === payloadBytes && each.gapUs === gapUs;
      return isSame && each.placement === 'free';
    });
    t.true(
      transports.every((transport) => free?.transports.includes(transport)),
      `${name} ${gapUs}`,
    );
  }
});

test('by plan, five repetitions take less than forty-five minutes, at most seventy with all their patience, and the whole suite less than twenty', (t) => {
  const plannedRunMs = plannedMs({ scenarios: headlineScenarios, effort: headline });
  t.true(plannedRunMs + headline.patienceMs <= headline.budgetMs);
  t.true(5 * plannedRunMs < 45 * 60_000);
  t.true(5 * headline.budgetMs <= 70 * 60_000);
  const overheadMs = 3 * full.overhead.rounds * full.overhead.durationMs;
  t.true(plannedMs({ scenarios, effort: full }) + overheadMs < 20 * 60_000);
  t.true(full.budgetMs + overheadMs < 20 * 60_000);
});

test('a repetition measures held rows, and nothing else', (t) => {
  const request = readRequest(['--repeat', '5', '--out', 'somewhere']);
  t.like(request, { repetitions: 5, folder: 'somewhere', withOverhead: false });
  t.deepEqual(request?.scenarios, [...headlineScenarios]);
  t.deepEqual([...new Set(headlineScenarios.map(({ placement }) => placement))], ['held']);
  t.is(readRequest(['--quick'])?.repetitions, undefined);
});

test('--repeat writes what it found after every run, in words and as data', async (t) => {
  t.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), 'pillion-spread-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const command = fileURLToPath(new URL('../../../bench/run.js', import.meta.url));
  const args = [command, '--repeat', '2', '--quick', '--only', 'call-large', '--out', folder];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  const [code] = (await once(child, 'close')) as [number];
  t.is(code, 0);
  t.deepEqual(readdirSync(folder).sort(), ['spread.json', 'spread.md']);
  t.is(readFileSync(join(folder, 'spread.md'), 'utf8'), text);
  const { wanted, spreads, runs } = JSON.parse(readFileSync(join(folder, 'spread.json'), 'utf8'));
  t.is(wanted, 2);
  t.is(runs.length, 2);
  t.is(spreads[0].what, 'bandwidth of 1 MiB calls / uds');
  t.is(spreads[0].values.length, 2);
});
