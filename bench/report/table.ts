import Table from 'cli-table3';
import type { Environment } from '../environment.js';
import type { OverheadRow, Result, Row, Verdict } from '../result.js';
import { formatRange } from './labels.js';

/** The whole result as text for a terminal. */
export function formatReport({ environment, rows, verdicts, overhead }: Result, isVerbose: boolean): string {
  const parts = [
    formatEnvironment(environment),
    formatRows(rows, isVerbose ? [...columns, ...furtherColumns] : columns),
    'Times in microseconds; percentiles are medians over the rounds, max is the largest of all. CPU is that of both processes.',
    'A batch above 1 means that each sample is the average of so many operations in a row.',
    ...rows.filter(({ status }) => status !== 'ok').map((row) => `${row.scenario}, ${row.transport}: ${row.status}`),
  ];
  if (overhead.length > 0) parts.push('', formatOverhead(overhead));
  if (verdicts.length > 0) parts.push('', formatVerdicts(verdicts));
  return parts.join('\n');
}

export function formatEnvironment(environment: Environment): string {
  const { cpuModel, cpuCount, kernel, node, governor, virtualisation, commit, loadAverage, clockReadNs } = environment;
  return [
    `${cpuModel}, ${cpuCount} CPUs, kernel ${kernel}, Node ${node}, commit ${commit}`,
    `governor: ${governor}; virtualisation: ${virtualisation}; load ${loadAverage.toFixed(2)}; clock read ${clockReadNs} ns`,
  ].join('\n');
}

interface Column {
  head: string;
  value(row: Row): string | number | null;
  isText?: boolean;
}

const columns: readonly Column[] = [
  { head: 'scenario', value: ({ scenario }) => scenario, isText: true },
  { head: 'transport', value: ({ transport }) => transport, isText: true },
  { head: 'bytes', value: ({ payloadBytes }) => payloadBytes },
  { head: 'conditions', value: conditions, isText: true },
  { head: 'p50', value: ({ p50Us }) => p50Us },
  { head: 'p90', value: ({ p90Us }) => p90Us },
  { head: 'p99', value: ({ p99Us }) => p99Us },
  { head: 'p99.9', value: ({ p999Us }) => p999Us },
  { head: 'max', value: ({ maxUs }) => maxUs },
  { head: 'op/s', value: ({ opsPerSec }) => opsPerSec },
  { head: 'CPU/op', value: ({ cpuUsPerOp }) => cpuUsPerOp },
  { head: 'x limit', value: ({ timesLimit }) => timesLimit },
  { head: 'notes', value: notes, isText: true },
];

const furtherColumns: readonly Column[] = [
  { head: 'p99.99', value: ({ p9999Us }) => p9999Us },
  { head: 'CPU/op app', value: ({ appCpuUsPerOp }) => appCpuUsPerOp },
  { head: 'sidecar', value: ({ sidecarCpuUsPerOp }) => sidecarCpuUsPerOp },
  { head: 'switches/op', value: ({ switchesPerOp }) => switchesPerOp },
  { head: 'syscalls/op', value: ({ syscallsPerOp }) => syscallsPerOp },
  { head: 'count', value: ({ count }) => count },
  { head: 'batch', value: ({ batch }) => batch },
];

function formatRows(rows: readonly Row[], shown: readonly Column[]): string {
  const table = new Table({
    head: shown.map(({ head }) => head),
    colAligns: shown.map(({ isText }) => (isText ? 'left' : 'right')),
    style: plain,
  });
  for (const row of rows) {
    table.push(shown.map(({ value }) => formatCell(value(row))));
  }
  return table.toString();
}

/** What distinguishes the row from an undisturbed closed loop with one client. */
export function conditions({ gapUs, ratePerSec, clients, busyShare, cpuLoad, placement }: Row): string {
  const parts = [
    gapUs > 0 && `gap ${gapUs} us`,
    ratePerSec > 0 && `${ratePerSec}/s`,
    clients > 1 && `${clients} clients`,
    busyShare > 0 && `app busy ${busyShare * 100} %`,
    cpuLoad && 'busy CPUs',
    placement !== 'free' && placement,
  ];
  return parts.filter((part) => part !== false).join(', ');
}

function formatVerdicts(verdicts: readonly Verdict[]): string {
  const table = new Table({
    head: ['ratio to baseline, or value', 'measured', 'single rounds', 'placement', 'bar', 'aim', 'verdict'],
    colAligns: ['left', 'right', 'right', 'left', 'right', 'right', 'left'],
    style: plain,
  });
  for (const { what, value, unit, rounds, placement, bar, aim, verdict } of verdicts) {
    const separator = unit === '' || unit === 'x' || unit === '/s' ? '' : ' ';
    const measured = value === null ? '' : `${formatNumber(value)}${separator}${unit}`;
    table.push([what, measured, formatRange(rounds), placement, bar, aim, verdict]);
  }
  return table.toString();
}

function formatOverhead(rows: readonly OverheadRow[]): string {
  const table = new Table({
    head: ['workload', 'requests/s', 'app CPU ms/1,000', 'sidecar', 'app MiB', 'sidecar', 'network B/request', 'p50', 'p99', 'status'],
    colAligns: ['left', ...Array<'right'>(8).fill('right'), 'left'],
    style: plain,
  });
  for (const row of rows) {
    const { variant, ratePerSec, appCpuMsPer1000, sidecarCpuMsPer1000, appRssMiB, sidecarRssMiB, networkBytesPerRequest, p50Us, p99Us } =
      row;
    const figures = [ratePerSec, appCpuMsPer1000, sidecarCpuMsPer1000, appRssMiB, sidecarRssMiB, networkBytesPerRequest, p50Us, p99Us];
    table.push([variant, ...figures.map(formatCell), row.status]);
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
    .filter(([name]) => row.extras[name] !== undefined)
    .map(([name, unit]) => `${formatNumber(row.extras[name] as number)} ${unit}`)
    .join(', ');
}

function formatCell(value: string | number | null): string {
  if (value === null) return '';
  return typeof value === 'number' ? formatNumber(value) : value;
}

function formatNumber(value: number): string {
  if (value >= 1_000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
