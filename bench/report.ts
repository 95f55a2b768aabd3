import Table from 'cli-table3';
import type { Verdict } from './bars.js';
import type { Environment } from './environment.js';
import type { Row } from './row.js';

/** The whole result as text for a terminal. */
export function formatReport(environment: Environment, rows: readonly Row[], verdicts: readonly Verdict[]): string {
  return [
    formatEnvironment(environment),
    formatRows(rows),
    'Times in microseconds; percentiles are medians over the rounds, max is the largest of all. CPU is that of both processes.',
    'A batch above 1 means that each sample is the average of so many operations in a row.',
    ...rows.filter(({ status }) => status !== 'ok').map((row) => `${row.scenario}, ${row.transport}: ${row.status}`),
    '',
    formatVerdicts(verdicts),
  ].join('\n');
}

export function formatEnvironment(environment: Environment): string {
  const { cpuModel, cpuCount, kernel, node, governor, virtualisation, commit, loadAverage, clockReadNs } = environment;
  return [
    `${cpuModel}, ${cpuCount} CPUs, kernel ${kernel}, Node ${node}, commit ${commit}`,
    `governor: ${governor}; virtualisation: ${virtualisation}; load ${loadAverage.toFixed(2)}; clock read ${clockReadNs} ns`,
  ].join('\n');
}

const columns = ['scenario', 'transport', 'bytes', 'gap', 'p50', 'p90', 'p99', 'p99.9', 'max', 'op/s', 'CPU/op', 'batch', 'notes'];
const alignments = columns.map((column) => (['scenario', 'transport', 'notes'].includes(column) ? 'left' : 'right'));

function formatRows(rows: readonly Row[]): string {
  const table = new Table({ head: columns, colAligns: alignments as ('left' | 'right')[], style: plain });
  for (const row of rows) {
    table.push([
      row.scenario,
      row.transport,
      row.payloadBytes,
      row.gapUs || '',
      ...[row.p50Us, row.p90Us, row.p99Us, row.p999Us, row.maxUs, row.opsPerSec, row.cpuUsPerOp].map(formatNumber),
      row.batch ?? '',
      notes(row),
    ]);
  }
  return table.toString();
}

function formatVerdicts(verdicts: readonly Verdict[]): string {
  const table = new Table({
    head: ['ratio to baseline, or value', 'measured', 'bar', 'aim', 'verdict'],
    colAligns: ['left', 'right', 'right', 'right', 'left'],
    style: plain,
  });
  for (const { what, value, unit, bar, aim, verdict } of verdicts) {
    const separator = unit === '' || unit === 'x' || unit === '/s' ? '' : ' ';
    table.push([what, value === null ? '' : `${formatNumber(value)}${separator}${unit}`, bar, aim, verdict]);
  }
  return table.toString();
}

const plain = { head: [], border: [], compact: true };

const noteUnits: Record<string, string> = {
  doorbells: 'doorbells',
  mibPerSec: 'MiB/s',
  cpuMs: 'ms CPU',
  sleeps: 'sleeps',
  sharedKiB: 'KiB shared',
  appHeapKiB: 'KiB heap (app)',
  sidecarHeapKiB: 'KiB heap (sidecar)',
};

function notes(row: Row): string {
  if (row.status !== 'ok') return row.status.split(':')[0] as string;
  return Object.entries(noteUnits)
    .filter(([name]) => typeof row[name] === 'number')
    .map(([name, unit]) => `${formatNumber(row[name] as number)} ${unit}`)
    .join(', ');
}

function formatNumber(value: number | null): string {
  if (value === null) return '';
  if (value >= 1_000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
