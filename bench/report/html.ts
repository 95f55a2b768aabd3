import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { packageRoot } from '../environment.js';
import type { Result } from '../result.js';
import type { Chart, Missing, Option } from './chart.js';
import { escapeHtml, escapeJson } from './escape.js';
import { environmentSection, verdictSection } from './facts.js';
import { formatEnvironment } from './labels.js';
import { leadOf } from './lead.js';
import { rowSection } from './row-table.js';
import { chartsOf } from './sections.js';
import { dark, light } from './theme.js';

/**
 * The whole report as one page that fetches nothing: styles, data, ECharts and the page's own script are inside. ECharts comes as the
 * minified script of its package, which sets a global; page.ts is inlined as compiled, because it imports nothing. Charts are made here, for
 * both themes, and travel as data.
 */
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
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<title>pillion: benchmark report</title>
<style>${readFileSync(join(packageRoot, 'bench/report/style.css'), 'utf8')}</style>
</head>
<body>
<header>
<h1>What does a sidecar cost?</h1>
<button id="theme" type="button" aria-pressed="false">Dark</button>
<p class="lead">${leadOf(result)}</p>
<p class="muted">${escapeHtml(formatEnvironment(result.environment))}. ${measured(result)}</p>
</header>
${contents(charts, options)}
<main>
${charts.map((chart) => chartSection(chart, chart.id in options)).join('\n')}
${verdictSection(result.verdicts)}
${rowSection(result.rows)}
${environmentSection(result.environment)}
</main>
<footer><p>Each row is a pair of processes; payloads are written, checked and counted at the other end. Percentiles are medians over the rounds. How it is measured: docs/benchmarks.md.</p></footer>
<noscript><p>The charts need JavaScript; all numbers are in the tables.</p></noscript>
<script type="application/json" id="options">${escapeJson(options)}</script>
<script>${script(createRequire(import.meta.url).resolve('echarts/dist/echarts.min.js'))}</script>
<script type="module">${script(join(import.meta.dirname, 'page.js'))}</script>
</body>
</html>
`;
}

function measured({ rows }: Result): string {
  const count = (word: string) => rows.filter(({ status }) => status.startsWith(word)).length;
  return `<a href="#all">${rows.length} rows</a>: ${count('ok')} measured, ${count('failed')} failed, ${count('skipped')} skipped.`;
}

function contents(charts: readonly Chart[], options: object): string {
  const drawn = charts.filter(({ id }) => id in options);
  const entries = [...drawn.map(({ id, title }) => [id, title]), ['bars', 'Bars'], ['all', 'All rows'], ['environment', 'Environment']];
  return `<nav aria-label="Sections">${entries.map(([id = '', title = '']) => `<a href="#${id}">${escapeHtml(title)}</a>`).join('')}</nav>`;
}

function chartSection({ id, title, caption, heightPx, missing }: Chart, isDrawn: boolean): string {
  const place = `<div class="chart" id="chart-${id}" style="--wide:${heightPx.wide}px;--narrow:${heightPx.narrow}px" role="img" aria-label="Chart: ${escapeHtml(title)}. The numbers are in the table of all rows."></div>`;
  const body = isDrawn ? place : '<p>Not part of this run.</p>';
  return `<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${escapeHtml(title)}</h2><figure><figcaption>${escapeHtml(caption)}</figcaption>${body}</figure>${missingList(missing)}</section>`;
}

function missingList(missing: readonly Missing[]): string {
  if (missing.length === 0) return '';
  const entries = missing.map(({ what, status }) => `<li>${escapeHtml(what)}: ${escapeHtml(status)}</li>`);
  const isOpen = missing.length <= 4 ? ' open' : '';
  return `<details class="missing"${isOpen}><summary>Without figures: ${missing.length}</summary><ul>${entries.join('')}</ul></details>`;
}

/** A closing tag inside a string of the script would end it. */
function script(path: string): string {
  return readFileSync(path, 'utf8')
    .replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n')
    .replaceAll('</script', '<\\/script');
}
