import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import type { Browser } from 'playwright-core';
import { chromium } from 'playwright-core';
import { renderPage } from '../../bench/report/html.js';
import { sampleResult } from '../fixtures/bench/sample.js';

/** The report as a reader opens it: from a file, in Chromium. */

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const directory = mkdtempSync(join(tmpdir(), 'pillion-report-'));
const page = join(directory, 'report.html');
let browser: Browser | undefined;

test.before('starts a browser', async (t) => {
  t.timeout(60_000);
  if (!existsSync(executablePath)) {
    if (process.env['CI']) t.fail(`there is no Chromium at ${executablePath}`);
    t.log(`skipped: no Chromium at ${executablePath}; CHROMIUM names another`);
    return;
  }
  writeFileSync(page, renderPage(sampleResult()));
  browser = await chromium.launch({ executablePath, args: quiet });
});

test.after.always('ends it', async () => {
  await browser?.close();
  rmSync(directory, { recursive: true, force: true });
});

for (const [device, width] of [
  ['a desktop', 1280],
  ['a phone', 360],
] as const) {
  test(`on ${device} every chart is drawn, nothing is fetched, nothing fails, and the page does not scroll sideways`, async (t) => {
    if (!browser) return t.pass();
    const tab = await browser.newPage({ viewport: { width, height: 800 } });
    const complaints: string[] = [];
    const requests: string[] = [];
    tab.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    tab.on('pageerror', (error) => complaints.push(error.message));
    tab.on('request', (request) => requests.push(request.url()));
    await tab.goto(pathToFileURL(page).href);
    const empty = await tab.$$eval('.chart', (charts) => charts.filter((chart) => !chart.querySelector('svg path')).map(({ id }) => id));
    const overflow = await tab.evaluate('document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth');
    t.deepEqual(empty, []);
    t.deepEqual(complaints, []);
    t.deepEqual(requests, [pathToFileURL(page).href]);
    t.true((overflow as number) <= 0, `${overflow} px too wide`);
    await tab.close();
  });
}

test('filters narrow the rows, headings sort them, and the theme changes', async (t) => {
  if (!browser) return t.pass();
  const tab = await browser.newPage({ colorScheme: 'light' });
  await tab.goto(pathToFileURL(page).href);
  const visible = () => tab.locator('#rows tbody tr:visible').count();
  const all = await visible();
  await tab.selectOption('#scenario', 'call-sync');
  t.is(await visible(), 2);
  await tab.selectOption('#scenario', '');
  await tab.fill('#search', 'failed');
  t.true((await visible()) > 0 && (await visible()) < all);
  await tab.fill('#search', '');
  await tab.click('#rows th:nth-child(5) button');
  const values = await tab.$$eval('#rows tbody tr td:nth-child(5)', (cells) =>
    cells.map((cell) => Number(cell.getAttribute('data-value') ?? Number.POSITIVE_INFINITY)),
  );
  t.deepEqual(
    values,
    values.toSorted((a, b) => a - b),
  );
  t.is(await tab.evaluate('document.documentElement.dataset.theme'), 'light');
  await tab.click('#theme');
  t.is(await tab.evaluate('document.documentElement.dataset.theme'), 'dark');
  await tab.close();
});
