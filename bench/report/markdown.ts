import type { OverheadRow, Result, Row } from '../result.js';
import { communicationCosts } from './cost-chart.js';
import { escapeCell } from './escape.js';
import {
  conditionsOf,
  formatBytes,
  formatEnvironment,
  formatNumber,
  formatRange,
  formatUs,
  labelOf,
  notesOf,
  spreadOf,
  unitLabel,
  variantLabel,
} from './labels.js';
import { table } from './markdown-table.js';
import { headlineRowsOf, rowsOf } from './read.js';

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
    ...scenarios.flatMap((scenario) => [
      `## ${escapeCell(scenario)}`,
      '',
      rowTable(result.rows.filter((row) => row.scenario === scenario)),
      '',
    ]),
  ].join('\n');
}

/** What a README shows. */
export function headline(result: Result): string {
  const costs = communicationCosts(result).flatMap(({ title, bars }) => {
    const verb = title.split(':')[0]?.toLowerCase();
    return bars.map(({ label, us, roundsUs }) => [escapeCell(`${verb}: ${label}`), formatUs(us), rangeOf(roundsUs)]);
  });
  const conditions = `${placementOf(result)}${escapeCell(formatEnvironment(result.environment))}.`;
  return [table(['message', 'median', 'rounds'], costs, [0]), '', conditions, ''].join('\n');
}

/** How the table's rows were placed, and what the scheduler made of the same calls. */
function placementOf(result: Result): string {
  if (headlineRowsOf(result, 'call')[0]?.placement !== 'held') return '';
  const free = rowsOf(result, 'call');
  const asPlaced = ['shm', 'uds', 'http'].flatMap((name) => {
    const row = free.find(({ transport }) => transport === name);
    return row ? [`${labelOf(name)} ${formatUs(row.p50Us)} (rounds ${spreadOf(row)})`] : [];
  });
  const left = asPlaced.length === 0 ? '' : ` Placed by the scheduler, asking took: ${asPlaced.join(', ')}.`;
  return `Each side held on a CPU of its own.${left} `;
}

function rangeOf(roundsUs: readonly number[]): string {
  return roundsUs.length < 2 ? '' : `${formatUs(Math.min(...roundsUs))} to ${formatUs(Math.max(...roundsUs))}`;
}

/** Puts the headline between the two marks of a page. */
export function updatePage(page: string, result: Result): string {
  const from = page.indexOf(begin);
  const to = page.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`the page needs the lines ${begin} and ${end}, in this order`);
  return `${page.slice(0, from + begin.length)}\n${headline(result)}${page.slice(to)}`;
}

function verdictTable({ verdicts }: Result): string {
  if (verdicts.length === 0) return 'Not part of this run.';
  const rows = verdicts.map(({ what, value, unit, rounds, placement, bar, aim, verdict }) => [
    escapeCell(what),
    value === null ? '' : escapeCell(`${formatNumber(value)} ${unitLabel(unit)}`.trim()),
    ...[formatRange(rounds), placement, bar, aim, verdict].map(escapeCell),
  ]);
  return table(['what', 'measured', 'single rounds', 'placement', 'bar', 'aim', 'verdict'], rows, [0, 3, 6]);
}

function overheadTable(rows: readonly OverheadRow[]): string {
  if (rows.length === 0) return 'Not part of this run.';
  const cells = rows.map((row) => [
    escapeCell(variantLabel(row.variant)),
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
    escapeCell(conditionsOf(row)),
    formatNumber(row.p50Us),
    spreadOf(row),
    ...[
      row.p90Us,
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
    escapeCell(notesOf(row)),
    escapeCell(row.status),
  ]);
  const heads = [
    'transport',
    'payload',
    'conditions',
    'p50 µs',
    'p50 of rounds',
    'p90',
    'p99',
    'p99.9',
    'p99.99',
    'max',
    'op/s',
    'CPU µs/op',
    'system calls',
    'switches',
    'x limit',
    'notes',
    'status',
  ];
  return table(heads, cells, [0, 2, 15, 16]);
}
