import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { packageRoot } from '../environment.js';
import type { Result, Row } from '../result.js';
import type { Chart, Option } from './chart.js';
import { conditionsOf, formatBytes, formatNumber, labelOf } from './labels.js';
import { rowsOf } from './read.js';
import { chartsOf } from './sections.js';
import { dark, light } from './theme.js';

/** The whole report as one page that fetches nothing: styles, data, ECharts and the page's own script are inside. */
export function renderPage(result: Result): string {
  const charts = chartsOf(result);
  const options: Record<string, { light: Option; dark: Option }> = {};
  for (const { id, option } of charts) {
    const [byDay, byNight] = [option(light), option(dark)];
    if (byDay && byNight) options[id] = { light: byDay, dark: byNight };
  }
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>pillion: benchmark report</title>
<style>${readFileSync(join(packageRoot, 'bench/report/style.css'), 'utf8')}</style>
</head>
<body>
<header>
<h1>What does a sidecar cost?</h1>
<button id="theme" type="button" aria-pressed="false">Dark</button>
<p class="lead">${lead(result)}</p>
</header>
<main>
<nav aria-label="Sections">${charts.map(({ id, title }) => `<a href="#${id}">${escapeHtml(title)}</a>`).join('')}<a href="#bars">Bars</a><a href="#all">All rows</a><a href="#environment">Environment</a></nav>
${charts.map((chart) => chartSection(chart, chart.id in options)).join('\n')}
${verdicts(result)}
${allRows(result.rows)}
${environment(result)}
</main>
<footer><p>Each row is a pair of processes; payloads are written, checked and counted at the other end. Percentiles are medians over the rounds. How it is measured: docs/benchmarks.md.</p></footer>
<script type="application/json" id="options">${JSON.stringify(options).replaceAll('<', '\\u003c')}</script>
<script>${script(createRequire(import.meta.url).resolve('echarts/dist/echarts.min.js'))}</script>
<script type="module">${script(join(import.meta.dirname, 'page.js'))}</script>
</body>
</html>
`;
}

/** The finding in a sentence, from the rows. */
function lead(result: Result): string {
  const calls = rowsOf(result, 'call');
  const p50 = (transport: string) => calls.find((row) => row.transport === transport)?.p50Us ?? undefined;
  const [ours, http, socket] = ['shm', 'http', 'uds'].map(p50);
  if (!ours || !http || !socket) return 'Ways of talking to a sidecar process on the same host, measured between two processes.';
  return `Asking a sidecar takes <strong>${formatNumber(ours)} µs</strong> over pillion while traffic flows, ${formatNumber(http)} µs over HTTP and ${formatNumber(socket)} µs over a Unix socket on this machine. When calls are rare, waking up is what costs, and the distance shrinks.`;
}

function chartSection({ id, title, caption, heightPx }: Chart, isDrawn: boolean): string {
  const body = isDrawn
    ? `<div class="chart" id="chart-${id}" style="height:${heightPx}px" role="img" aria-label="${escapeHtml(title)}"></div>`
    : '<p>Not part of this run.</p>';
  return `<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${escapeHtml(title)}</h2><figure><figcaption>${escapeHtml(caption)}</figcaption>${body}</figure></section>`;
}

function verdicts({ verdicts: all }: Result): string {
  const rows = all.map(({ what, value, unit, bar, aim, verdict }) =>
    row([what, value === null ? '' : `${formatNumber(value)} ${unit}`, bar, aim, verdict].map((text) => `<td>${escapeHtml(text)}</td>`)),
  );
  const body =
    rows.length === 0
      ? '<p>Not part of this run.</p>'
      : scrolling(
          `<table><caption>Ratios to a baseline of the same run, or values</caption>${head(['what', 'measured', 'bar', 'aim', 'verdict'])}<tbody>${rows.join('')}</tbody></table>`,
        );
  return `<section id="bars" aria-labelledby="bars-title"><h2 id="bars-title">The core’s bars</h2>${body}</section>`;
}

interface Column {
  head: string;
  value(row: Row): number | string | null;
  show?(row: Row): string;
}

const columns: readonly Column[] = [
  { head: 'scenario', value: ({ scenario }) => scenario },
  { head: 'transport', value: ({ transport }) => labelOf(transport) },
  { head: 'payload', value: ({ payloadBytes }) => payloadBytes, show: ({ payloadBytes }) => formatBytes(payloadBytes) },
  { head: 'conditions', value: conditionsOf },
  { head: 'p50 µs', value: ({ p50Us }) => p50Us },
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
  { head: 'status', value: ({ status }) => (status === 'ok' ? '' : status) },
];

function allRows(rows: readonly Row[]): string {
  const choices = (id: string, label: string, values: readonly [string, string][]) =>
    `<label>${label} <select id="${id}"><option value="">all</option>${values.map(([value, text]) => `<option value="${escapeHtml(value)}">${escapeHtml(text)}</option>`).join('')}</select></label>`;
  const scenarios = [...new Set(rows.map(({ scenario }) => scenario))].map((name): [string, string] => [name.toLowerCase(), name]);
  const transports = [...new Set(rows.map(({ transport }) => transport))].map((name): [string, string] => [
    name.toLowerCase(),
    labelOf(name),
  ]);
  return `<section id="all" aria-labelledby="all-title"><h2 id="all-title">All rows</h2>
<p class="muted">Also what failed or was skipped. CPU in microseconds per operation; a batch above 1 means that a sample is the average of so many operations.</p>
<div class="tools">${choices('scenario', 'scenario', scenarios)}${choices('transport', 'transport', transports)}<label>text <input id="search" type="search"></label><span id="count" role="status"></span></div>
${scrolling(
  `<table id="rows"><caption>Click a heading to sort</caption>${head(
    columns.map((column) => column.head),
    true,
  )}<tbody>${rows.map(dataRow).join('')}</tbody></table>`,
)}</section>`;
}

function dataRow(data: Row): string {
  const cells = columns.map(({ head: name, value, show }) => {
    const raw = value(data);
    const text = show ? show(data) : typeof raw === 'number' ? formatNumber(raw) : (raw ?? '');
    return `<td${typeof raw === 'number' ? ` data-value="${raw}"` : ''}${name === 'status' ? ' class="status"' : ''}>${escapeHtml(text)}</td>`;
  });
  return `<tr data-scenario="${escapeHtml(data.scenario.toLowerCase())}" data-transport="${escapeHtml(data.transport)}">${cells.join('')}</tr>`;
}

function environment({ environment: all }: Result): string {
  const entries = Object.entries(all).map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(String(value) || 'none')}</dd>`);
  return `<section id="environment" aria-labelledby="environment-title"><h2 id="environment-title">Environment</h2><dl>${entries.join('')}</dl></section>`;
}

function head(names: readonly string[], isSortable = false): string {
  return `<thead><tr>${names.map((name) => `<th scope="col">${isSortable ? `<button type="button">${escapeHtml(name)}</button>` : escapeHtml(name)}</th>`).join('')}</tr></thead>`;
}

function row(cells: readonly string[]): string {
  return `<tr>${cells.join('')}</tr>`;
}

function scrolling(table: string): string {
  return `<div class="scroll" tabindex="0" role="region" aria-label="Table">${table}</div>`;
}

/** A closing tag inside a string of the script would end it. */
function script(path: string): string {
  return readFileSync(path, 'utf8')
    .replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n')
    .replaceAll('</script', '<\\/script');
}

/** Everything in a result is somebody else's text. */
function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');
}
