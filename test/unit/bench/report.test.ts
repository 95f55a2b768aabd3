import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { renderPage } from '../../../bench/report/html.js';
import { formatBytes, formatGap, formatUs, labelOf } from '../../../bench/report/labels.js';
import { leadOf } from '../../../bench/report/lead.js';
import { lookOf } from '../../../bench/report/looks.js';
import { formatMarkdown, headline, updatePage } from '../../../bench/report/markdown.js';
import { ninesOf } from '../../../bench/report/percentile-chart.js';
import { readResult } from '../../../bench/report/read.js';
import { chartsOf } from '../../../bench/report/sections.js';
import { renderSvg } from '../../../bench/report/svg.js';
import { dark, light } from '../../../bench/report/theme.js';
import { complaintAbout } from '../../../bench/report/validate.js';
import type { Verdict } from '../../../bench/result.js';
import { sampleResult } from '../../fixtures/bench/sample.js';

const hostile = `</script><img src=x onerror="alert(1)">|`;

test('labels and units are those of a reader', (t) => {
  t.is(labelOf('shm'), 'pillion');
  t.is(labelOf('./my/transport.mjs'), 'transport');
  t.is(formatUs(0.8123), '0.812 µs');
  t.is(formatUs(12_345), '12.3 ms');
  t.is(formatBytes(16 * 2 ** 20), '16 MiB');
  t.is(formatGap(0), 'none');
});

interface Series {
  name?: string;
  data: unknown[];
}

/** What a chart draws, whether it has one layout or two. */
function seriesOf(id: string, result = sampleResult()): Series[] {
  const option = chartsOf(result)
    .find((chart) => chart.id === id)
    ?.option(light) as { series?: Series[]; baseOption?: { series: Series[] } } | undefined;
  return option?.series ?? option?.baseOption?.series ?? [];
}

test('every chart is plain data, in both themes', (t) => {
  for (const { id, option } of chartsOf(sampleResult())) {
    for (const theme of [light, dark]) t.deepEqual(JSON.parse(JSON.stringify(option(theme))), option(theme), id);
  }
});

test('a sweep has a line for each transport in both panels, in the same colour as everywhere', (t) => {
  const series = seriesOf('gap-sweep');
  t.is(series.filter(({ name }) => name === 'pillion').length, 2);
  t.is(series.filter(({ name }) => name === 'HTTP, keep-alive').length, 2);
  t.deepEqual(
    series.map(({ data }) => data.length),
    series.map(() => 6),
  );
});

test('what has no figures is not drawn, and is named beside the chart with its reason', (t) => {
  t.false(seriesOf('latency-cpu').some(({ name }) => name === 'HTTP, keep-alive'));
  const chart = chartsOf(sampleResult()).find(({ id }) => id === 'latency-cpu');
  t.is(chart?.missing.length, 3);
  t.regex(renderPage(sampleResult()), /HTTP, keep-alive, 64 B, 1,000\/s: failed: invented, rate missed/);
});

test('percentiles stand on a scale of nines, as far as there are samples', (t) => {
  t.deepEqual([0, 90, 99, 99.9].map(ninesOf), [0, 1, 2, 3]);
  const line = seriesOf('percentiles').find(({ name }) => name === 'pillion');
  const places = line?.data.map((point) => (point as { value: [number, number] }).value[0]) ?? [];
  // 1,000 samples in three rounds: a tail of 0.5 % still holds one of a round, one of 0.2 % does not.
  t.is(Math.max(...places), ninesOf(99.5));
});

test('each transport is told apart by colour and shape, with contrast on both cards', (t) => {
  const transports = [...new Set(sampleResult().rows.map(({ transport }) => transport)), './mine.mjs', 'constructor', '__proto__'];
  for (const transport of transports) {
    const { colour } = lookOf(transport);
    for (const { background } of [light, dark]) t.true(contrast(colour, background) >= 3, `${transport} ${colour} on ${background}`);
  }
  for (const scenario of ['gap-sweep', 'payload-sweep', 'rate', 'event-latency']) {
    const rows = sampleResult().rows.filter((row) => row.scenario === scenario);
    const own = new Set(rows.map(({ transport }) => transport));
    t.is(new Set([...own].map((transport) => JSON.stringify(lookOf(transport)))).size, own.size, scenario);
  }
});

test('the lead says how rounds differed, and what rare and large calls cost', (t) => {
  const lead = leadOf(sampleResult());
  t.regex(lead, /medians of single rounds/);
  t.regex(lead, /After a rest of 1 ms: .*With 1 MiB/);
  t.notRegex(leadOf({ ...sampleResult(), rows: [] }), /µs/);
});

test('the headline is that of the held rows, and says so beside what the scheduler made of them', (t) => {
  const result = sampleResult();
  for (const row of result.rows) if (row.scenario === 'call' && row.transport === 'shm') row.p50Us = row.placement === 'held' ? 0.5 : 7;
  t.regex(headline(result), /ask: pillion \| 0\.5 µs \|/);
  t.regex(headline(result), /Each side held on a CPU of its own\. Placed by the scheduler, asking took: pillion 7 µs/);
  t.regex(leadOf(result), /<strong>0\.5 µs<\/strong>.*with a CPU for each side.*Where the scheduler places them: 7 µs/);
  const free = { ...result, rows: result.rows.filter(({ placement }) => placement !== 'held') };
  t.regex(headline(free), /ask: pillion \| 7 µs \|/);
  t.notRegex(headline(free), /held/);
  t.notRegex(leadOf(free), /CPU for each side/);
});

test('held rows are in no chart of freely placed ones', (t) => {
  const result = sampleResult();
  const free = { ...result, rows: result.rows.filter(({ placement }) => placement !== 'held') };
  for (const id of ['gap-sweep', 'all-calls', 'percentiles', 'clients']) t.deepEqual(seriesOf(id, result), seriesOf(id, free), id);
});

test('a bar shows its single rounds and its placement', (t) => {
  t.regex(renderPage(sampleResult()), /<td>140 to 155<\/td><td class="text">held<\/td>/);
  t.regex(formatMarkdown(sampleResult()), /\| http \/ call \| 150 x \| 140 to 155 \| held \|/);
});

test('a result from before there were rounds of rates and bars is still read', (t) => {
  const result = JSON.parse(JSON.stringify(sampleResult()));
  for (const row of result.rows) delete row.opsPerSecRounds;
  for (const verdict of result.verdicts) for (const name of ['placement', 'rounds']) delete verdict[name];
  const folder = mkdtempSync(join(tmpdir(), 'pillion-report-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'result.json');
  writeFileSync(file, JSON.stringify(result));
  const read = readResult(file);
  t.like(read.verdicts[0], { placement: 'free', rounds: [] });
  t.deepEqual(read.rows[0]?.opsPerSecRounds, []);
  t.notThrows(() => formatMarkdown(read));
});

test('a run without rows says so instead of drawing', (t) => {
  const page = renderPage({ ...sampleResult(), rows: [], overhead: [], verdicts: [] });
  t.true(page.split('Not part of this run.').length > 5);
});

test('the same result makes the same picture', (t) => {
  const [chart] = chartsOf(sampleResult());
  const pictures = [0, 1].map(() => chart && renderSvg(chart, sampleResult().environment));
  t.regex(pictures[0] ?? '', /^<svg/);
  t.is(pictures[0], pictures[1]);
});

test('a picture is whole XML even when its names are hostile', (t) => {
  const result = sampleResult();
  result.environment.cpuModel = hostile;
  for (const row of result.rows) if (row.transport === 'uds') row.transport = hostile;
  for (const chart of chartsOf(result)) t.notRegex(renderSvg(chart, result.environment) ?? '', /<img|<\/script/, chart.id);
});

test('what is no result is refused with the reason', (t) => {
  const cases: [unknown, RegExp][] = [
    [null, /not an object/],
    [{ schema: 2 }, /schema=2/],
    [{ ...sampleResult(), rows: [null] }, /rows\[0\]/],
    [{ ...sampleResult(), rows: [{ ...sampleResult().rows[0], p50Us: '<b>' }] }, /rows\[0\]\.p50Us/],
    [{ ...sampleResult(), verdicts: undefined }, /no list of verdicts/],
    [{ ...sampleResult(), verdicts: [{ ...sampleResult().verdicts[0], rounds: ['1'] }] }, /verdicts\[0\]\.rounds/],
    [{ ...sampleResult(), rows: [{ ...sampleResult().rows[0], opsPerSecRounds: 1 }] }, /rows\[0\]\.opsPerSecRounds/],
  ];
  for (const [value, reason] of cases) t.regex(complaintAbout(value) ?? '', reason);
  t.is(complaintAbout(JSON.parse(JSON.stringify(sampleResult()))), undefined);
  t.throws(() => readResult('/nonexistent/result.json'), { message: /can't read result=.*npm run bench/ });
});

test('names and messages of a result do not become markup', (t) => {
  const result = sampleResult();
  result.rows[0] = { ...(result.rows[0] as (typeof result.rows)[number]), transport: hostile, status: `failed: ${hostile}` };
  // This one is drawn as well, so that its name is among the charts' data.
  for (const row of result.rows) if (row.transport === 'uds') row.transport = hostile;
  const page = renderPage(result);
  t.false(page.includes('<img src=x'));
  t.is(page.split('</script>').length - 1, 3);
  t.false(formatMarkdown(result).includes('<img'));
  result.verdicts[0] = { ...(result.verdicts[0] as Verdict), bar: '![x](http://example.invalid/a.png)|' };
  t.false(formatMarkdown(result).includes('![x]'));
});

test('a page is updated between its marks, and twice gives the same', (t) => {
  const page = 'above\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nbelow\n';
  const once = updatePage(page, sampleResult());
  t.false(once.includes('old'));
  t.true(once.startsWith('above\n') && once.endsWith('below\n'));
  t.is(updatePage(once, sampleResult()), once);
  t.throws(() => updatePage('nothing', sampleResult()), { message: /bench:begin/ });
});

/** Of WCAG 2. */
function contrast(one: string, other: string): number {
  const luminance = (colour: string) => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5]
      .map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (lighter + 0.05) / (darker + 0.05);
}
