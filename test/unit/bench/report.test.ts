import test from 'ava';
import { renderPage } from '../../../bench/report/html.js';
import { formatBytes, formatGap, formatUs, labelOf } from '../../../bench/report/labels.js';
import { formatMarkdown, updatePage } from '../../../bench/report/markdown.js';
import { chartsOf } from '../../../bench/report/sections.js';
import { renderSvg } from '../../../bench/report/svg.js';
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

test('every chart is plain data, and has a series for what was measured', (t) => {
  for (const { id, option } of chartsOf(sampleResult())) {
    const drawn = option({ name: 'light', text: '#000', muted: '#000', line: '#000', background: '#fff' });
    if (!drawn) return t.fail(id);
    t.deepEqual(JSON.parse(JSON.stringify(drawn)).series.length, (drawn['series'] as unknown[]).length, id);
  }
});

test('a run without rows says so instead of drawing', (t) => {
  const page = renderPage({ ...sampleResult(), rows: [], overhead: [], verdicts: [] });
  t.true(page.split('Not part of this run.').length > 5);
});

test('the same result makes the same picture', (t) => {
  const [chart] = chartsOf(sampleResult());
  const pictures = [0, 1].map(() => chart && renderSvg(chart));
  t.regex(pictures[0] ?? '', /^<svg/);
  t.is(pictures[0], pictures[1]);
});

test('names and messages of a result do not become markup', (t) => {
  const result = sampleResult();
  result.rows[0] = { ...(result.rows[0] as (typeof result.rows)[number]), transport: hostile, status: `failed: ${hostile}` };
  const page = renderPage(result);
  t.false(page.includes('<img src=x'));
  t.is(page.split('</script>').length - 1, 3);
  t.false(formatMarkdown(result).includes('<img'));
});

test('a page is updated between its marks, and twice gives the same', (t) => {
  const page = 'above\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nbelow\n';
  const once = updatePage(page, sampleResult());
  t.false(once.includes('old'));
  t.true(once.startsWith('above\n') && once.endsWith('below\n'));
  t.is(updatePage(once, sampleResult()), once);
  t.throws(() => updatePage('nothing', sampleResult()), { message: /bench:begin/ });
});
