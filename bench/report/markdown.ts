import type { OverheadRow, Result, Row } from '../result.js';
import { communicationCosts } from './cost-chart.js';
import { conditionsOf, formatBytes, formatNumber, formatUs, labelOf } from './labels.js';

const begin = '<!-- bench:begin -->';
const end = '<!-- bench:end -->';

/** All tables of the result. */
export function formatMarkdown(result: Result): string {
  const scenarios = [...new Set(result.rows.map(({ scenario }) => scenario))];
  return [
    '# Benchmark results',
    '',
    'Made by `npm run bench:report`; what the columns mean is in [docs/benchmarks.md](../../docs/benchmarks.md).',
    '',
    headline(result),
    '## Resources of one workload',
    '',
    overheadTable(result.overhead),
    '',
    '## The core and its bars',
    '',
    verdictTable(result),
    '',
    ...scenarios.flatMap((scenario) => [`## ${scenario}`, '', rowTable(result.rows.filter((row) => row.scenario === scenario)), '']),
  ].join('\n');
}

/** What a README shows. */
export function headline(result: Result): string {
  const { cpuModel, cpuCount, kernel, node, commit, date, loadAverage } = result.environment;
  const costs = communicationCosts(result).map(({ label, us }) => [escapeCell(label), formatUs(us)]);
  return [
    table(['message', 'median'], costs, [0]),
    '',
    `${escapeCell(cpuModel)}, ${cpuCount} CPUs, Linux ${escapeCell(kernel)}, Node ${escapeCell(node)}, commit ${escapeCell(commit)}, ${date.slice(0, 10)}, load ${formatNumber(loadAverage)}.`,
    '',
  ].join('\n');
}

/** Puts the headline between the two marks of a page. */
export function updatePage(page: string, result: Result): string {
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error(`the page needs the lines ${begin} and ${end}, in this order`);
  return `${page.slice(0, from + begin.length)}\n${headline(result)}${page.slice(to)}`;
}

function verdictTable({ verdicts }: Result): string {
  const rows = verdicts.map(({ what, value, unit, bar, aim, verdict }) => [
    escapeCell(what),
    value === null ? '' : `${formatNumber(value)} ${unit}`.trim(),
    bar,
    aim,
    verdict,
  ]);
  return table(['what', 'measured', 'bar', 'aim', 'verdict'], rows, [0, 4]);
}

function overheadTable(rows: readonly OverheadRow[]): string {
  if (rows.length === 0) return 'Not part of this run.';
  const cells = rows.map((row) => [
    row.variant,
    ...[row.appCpuMsPer1000, row.sidecarCpuMsPer1000, row.appRssMiB, row.sidecarRssMiB, row.networkBytesPerRequest].map(formatNumber),
    formatUs(row.p50Us),
    formatUs(row.p99Us),
    escapeCell(row.status),
  ]);
  return table(
    ['variant', 'app CPU ms/1,000', 'sidecar CPU', 'app MiB', 'sidecar MiB', 'socket B/request', 'p50', 'p99', 'status'],
    cells,
    [0, 8],
  );
}

function rowTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    escapeCell(labelOf(row.transport)),
    formatBytes(row.payloadBytes),
    conditionsOf(row),
    ...[
      row.p50Us,
      row.p99Us,
      row.p999Us,
      row.p9999Us,
      row.maxUs,
      row.opsPerSec,
      row.cpuUsPerOp,
      row.syscallsPerOp,
      row.switchesPerOp,
      row.timesLimit,
    ].map(formatNumber),
    escapeCell(row.status),
  ]);
  const heads = [
    'transport',
    'payload',
    'conditions',
    'p50 µs',
    'p99',
    'p99.9',
    'p99.99',
    'max',
    'op/s',
    'CPU µs/op',
    'system calls',
    'switches',
    'x limit',
    'status',
  ];
  return table(heads, cells, [0, 2, 13]);
}

function table(heads: readonly string[], rows: readonly (readonly string[])[], textColumns: readonly number[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = heads.map((_, index) => (textColumns.includes(index) ? '---' : '---:'));
  return [line(heads), line(rule), ...rows.map(line)].join('\n');
}

function escapeCell(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('|', '\\|')
    .replaceAll(/[\r\n]+/g, ' ');
}
