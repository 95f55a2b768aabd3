import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment } from '../environment.js';
import { packageRoot } from '../environment.js';
import { escapeCell } from '../report/escape.js';
import { formatEnvironment, formatNumber, unitLabel } from '../report/labels.js';
import { table } from '../report/markdown-table.js';
import type { Run, Spread } from './spread.js';
import { spreadsOf, troublesOf } from './spread.js';

export interface Series {
  environment: Environment & { effort: string };
  /** How many runs there were to be. */
  wanted: number;
  runs: readonly Run[];
}

/** What the suite's own requirement allows between any two runs. */
const allowed = 0.1;

/** Of a checkout; what is installed as a package has no folder for results. */
export function defaultFolder(): string {
  const ofCheckout = join(packageRoot, 'bench', 'results');
  return existsSync(ofCheckout) ? ofCheckout : '.';
}

export function writeSeries(series: Series, folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'spread.json'), `${JSON.stringify(fileOf(series), null, 1)}\n`);
  writeFileSync(join(folder, 'spread.md'), formatSeries(series));
}

function fileOf({ environment, wanted, runs }: Series): object {
  return {
    schema: 1,
    environment,
    wanted,
    allowed,
    spreads: spreadsOf(runs),
    runs: runs.map(({ date, loadAverage, machine, rows }) => ({
      date,
      loadAverage,
      machine,
      rows: rows.map(({ scenario, transport, gapUs, placement, status, p50Us, p50UsRounds, opsPerSec, opsPerSecRounds }) => {
        return { scenario, transport, gapUs, placement, status, p50Us, p50UsRounds, opsPerSec, opsPerSecRounds };
      }),
    })),
  };
}

export function formatSeries({ environment, wanted, runs }: Series): string {
  const spreads = spreadsOf(runs);
  const [ratios, values] = [spreads.filter(({ isRatio }) => isRatio), spreads.filter(({ isRatio }) => !isRatio)];
  return [
    '# Spread of the headline from run to run',
    '',
    `Made by \`npm run bench -- --repeat ${wanted}\`. ${runs.length} of ${wanted} runs, each in new processes, both sides held on a CPU of their own. Spread: the largest minus the smallest value of all runs, divided by their median; at most ${percent(allowed)} is asked of a ratio.`,
    '',
    tableOf('ratio', ratios),
    '',
    runs.length > 1 ? summaryOf(ratios) : 'One run has no spread.',
    '',
    'Values that stand for themselves, of which nothing is asked:',
    '',
    tableOf('value', values),
    '',
    ...runs.map((run, index) => `- ${describe(run, index)}`),
    '',
    `${escapeCell(formatEnvironment(environment))}, mode ${environment.effort}.`,
    '',
  ].join('\n');
}

function tableOf(kind: string, spreads: readonly Spread[]): string {
  const rows = spreads.map(({ what, unit, values, median, least, most, spread }) => [
    escapeCell(what),
    `${values.filter((value) => value !== null).length} of ${values.length}`,
    ...[median, least, most].map((value) => (value === null ? '' : escapeCell(`${formatNumber(value)} ${unitLabel(unit)}`.trim()))),
    spread === null ? '' : percent(spread),
  ]);
  return table([kind, 'runs', 'median', 'smallest', 'largest', 'spread'], rows, [0]);
}

function summaryOf(ratios: readonly Spread[]): string {
  const within = ratios.filter(({ spread, values }) => spread !== null && spread <= allowed && !values.includes(null));
  const others = ratios.filter((ratio) => !within.includes(ratio)).map(({ what }) => escapeCell(what));
  const count = `${within.length} of ${ratios.length} ratios stayed within ${percent(allowed)} in all runs`;
  return others.length === 0 ? `${count}.` : `${count}; not: ${others.join('; ')}.`;
}

function describe(run: Run, index: number): string {
  const troubles = troublesOf(run);
  const what = troubles.length === 0 ? 'every row has figures' : troubles.map(escapeCell).join('; ');
  return `run ${index + 1}, ${run.date.slice(0, 16)}Z, load ${formatNumber(run.loadAverage)} at its start: ${what}${machineOf(run)}`;
}

function machineOf({ machine }: Run): string {
  if (machine === null) return '';
  const parts = {
    'a cache line': machine.line,
    'a wake-up': machine.wake,
    'a system call': machine.syscall,
    'a copy of 1 MiB': machine.memcpy,
  };
  const times = Object.entries(parts).map(([what, ns]) => `${what} ${formatNumber(ns / 1_000)} µs`);
  return `; the machine itself took, in the median, for ${times.join(', ')}`;
}

function percent(share: number): string {
  return `${formatNumber(share * 100)} %`;
}
