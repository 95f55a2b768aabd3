import type { Row } from '../result.js';
import { escapeHtml } from './escape.js';
import { conditionsOf, formatBytes, formatNumber, labelOf, notesOf, spreadOf } from './labels.js';

interface Column {
  head: string;
  value(row: Row): number | string | null;
  show?(row: Row): string;
  isText?: boolean;
}

/** What identifies a row, whatever became of it. */
const names: readonly Column[] = [
  { head: 'scenario', value: ({ scenario }) => scenario, isText: true },
  { head: 'transport', value: ({ transport }) => labelOf(transport), isText: true },
  { head: 'payload', value: ({ payloadBytes }) => payloadBytes, show: ({ payloadBytes }) => formatBytes(payloadBytes) },
  { head: 'conditions', value: conditionsOf, isText: true },
];

const figures: readonly Column[] = [
  { head: 'p50 µs', value: ({ p50Us }) => p50Us },
  { head: 'p50 of rounds', value: spreadOf },
  { head: 'p90', value: ({ p90Us }) => p90Us },
  { head: 'p99', value: ({ p99Us }) => p99Us },
  { head: 'p99.9', value: ({ p999Us }) => p999Us },
  { head: 'p99.99', value: ({ p9999Us }) => p9999Us },
  { head: 'max', value: ({ maxUs }) => maxUs },
  { head: 'op/s', value: ({ opsPerSec }) => opsPerSec },
  { head: 'CPU app', value: ({ appCpuUsPerOp }) => appCpuUsPerOp },
  { head: 'CPU sidecar', value: ({ sidecarCpuUsPerOp }) => sidecarCpuUsPerOp },
  { head: 'system calls', value: ({ syscallsPerOp }) => syscallsPerOp },
  { head: 'switches', value: ({ switchesPerOp }) => switchesPerOp },
  { head: '× limit', value: ({ timesLimit }) => timesLimit },
  { head: 'batch', value: ({ batch }) => batch },
  { head: 'notes', value: notesOf, isText: true },
];

/** Every row of the result. What failed or was skipped says why where its figures would be. */
export function rowSection(rows: readonly Row[]): string {
  const heads = [...names, ...figures].map(
    ({ head, isText }) => `<th scope="col"${isText ? ' class="text"' : ''}><button type="button">${escapeHtml(head)}</button></th>`,
  );
  return `<section id="all" aria-labelledby="all-title"><h2 id="all-title">All rows</h2>
<p class="muted">CPU in microseconds per operation. A batch above 1: each sample is the average of so many operations. A heading sorts by its column.</p>
${tools(rows)}
<div class="scroll tall" tabindex="0" role="region" aria-labelledby="all-title"><table id="rows"><caption>All rows of this run</caption><thead><tr>${heads.join('')}</tr></thead><tbody>${rows.map(dataRow).join('')}</tbody></table></div>
</section>`;
}

function tools(rows: readonly Row[]): string {
  const scenarios = [...new Set(rows.map(({ scenario }) => scenario))].map((name) => [name, name] as const);
  const transports = [...new Set(rows.map(({ transport }) => transport))].map((name) => [name, labelOf(name)] as const);
  const failedCount = rows.filter(({ status }) => status !== 'ok').length;
  const failed = `<button id="failed" type="button" aria-pressed="false">only failed and skipped (${failedCount})</button>`;
  const search = '<label>text <input id="search" type="search"></label>';
  return `<div class="tools">${choice('scenario', scenarios)}${choice('transport', transports)}${search}${failed}<span id="count" role="status"></span></div>`;
}

function choice(id: string, values: readonly (readonly [value: string, text: string])[]): string {
  const options = values.map(([value, text]) => `<option value="${escapeHtml(value)}">${escapeHtml(text)}</option>`);
  return `<label>${id} <select id="${id}"><option value="">all</option>${options.join('')}</select></label>`;
}

function dataRow(row: Row): string {
  const isOk = row.status === 'ok';
  const rest = isOk
    ? figures.map((column) => cell(row, column)).join('')
    : `<td class="status" colspan="${figures.length}">${escapeHtml(row.status)}</td>`;
  return `<tr data-scenario="${escapeHtml(row.scenario)}" data-transport="${escapeHtml(row.transport)}"${isOk ? '' : ' data-failed'}>${names.map((column) => cell(row, column)).join('')}${rest}</tr>`;
}

function cell(row: Row, { value, show, isText }: Column): string {
  const raw = value(row);
  const text = show ? show(row) : typeof raw === 'number' ? formatNumber(raw) : (raw ?? '');
  const sortedBy = typeof raw === 'number' ? ` data-value="${raw}"` : '';
  return `<td${isText ? ' class="text"' : ''}${sortedBy}>${escapeHtml(text)}</td>`;
}
