import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import type { Browser } from 'playwright-core';
import { chromium } from 'playwright-core';
import { renderPage } from '../../bench/report/html.js';
import type { Result } from '../../bench/result.js';
import { sampleResult } from '../fixtures/bench/sample.js';

/** The report as a reader opens it: from a file, in Chromium. */

const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const quiet = [
  '--headless',
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

const hostile = '</script><img src=x onerror="globalThis.broken=1">';

/** One transport has a name that wants to become markup, in the page and in the tooltips. */
function hostileResult(): Result {
  const result = sampleResult();
  for (const row of result.rows) if (row.transport === 'uds') row.transport = hostile;
  return result;
}

test.before('starts a browser', async (t) => {
  t.timeout(60_000);
  if (!existsSync(executablePath)) {
    if (process.env['CI']) t.fail(`there is no Chromium at ${executablePath}`);
    t.log(`skipped: no Chromium at ${executablePath}; CHROMIUM names another`);
    return;
  }
  writeFileSync(page, renderPage(hostileResult()));
  browser = await chromium.launch({ executablePath, args: quiet });
});

test.after.always('ends it', async () => {
  await browser?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Without a browser, which the hook above has said and which fails on CI, there is nothing to look at. */
function onPage(title: string, look: (t: ExecutionContext, browser: Browser) => Promise<void>): void {
  test(title, async (t) => {
    if (browser) return look(t, browser);
    t.log('not tried: there is no browser');
    t.pass();
  });
}

for (const [device, width] of [
  ['a desktop', 1280],
  ['a phone', 360],
] as const) {
  onPage(
    `on ${device} every chart is drawn, nothing is fetched, nothing fails, and the page does not scroll sideways`,
    async (t, browser) => {
      const tab = await browser.newPage({ viewport: { width, height: 800 } });
      const complaints: string[] = [];
      const requests: string[] = [];
      tab.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
      tab.on('pageerror', (error) => complaints.push(error.message));
      tab.on('request', (request) => requests.push(request.url()));
      await tab.goto(pathToFileURL(page).href);
      const empty = await tab.$$eval('.chart', (charts) => charts.filter((chart) => !chart.querySelector('svg path')).map(({ id }) => id));
      for (const chart of await tab.locator('.chart').all()) {
        const box = await chart.boundingBox();
        await chart.hover({ position: { x: (box?.width ?? 0) / 3, y: (box?.height ?? 0) / 2 } });
      }
      t.is(await tab.evaluate('globalThis.broken'), undefined);
      t.is(await tab.locator('img').count(), 0);
      const overflow = await tab.evaluate('document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth');
      t.deepEqual(empty, []);
      t.deepEqual(complaints, []);
      t.deepEqual(requests, [pathToFileURL(page).href]);
      t.true((overflow as number) <= 0, `${overflow} px too wide`);
      await tab.close();
    },
  );
}

onPage('filters narrow the rows, and headings sort them', async (t, browser) => {
  const tab = await browser.newPage({ colorScheme: 'light' });
  await tab.goto(pathToFileURL(page).href);
  const visible = () => tab.locator('#rows tbody tr:visible').count();
  const all = await visible();
  await tab.selectOption('#scenario', 'call-sync');
  t.is(await visible(), hostileResult().rows.filter(({ scenario }) => scenario === 'call-sync').length);
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
  await tab.close();
});

onPage('only failed and skipped rows remain when asked for, with their reasons in sight', async (t, browser) => {
  const tab = await browser.newPage();
  await tab.goto(pathToFileURL(page).href);
  const failedCount = hostileResult().rows.filter(({ status }) => status !== 'ok').length;
  await tab.click('#failed');
  t.is(await tab.getAttribute('#failed', 'aria-pressed'), 'true');
  t.is(await tab.locator('#rows tbody tr:visible').count(), failedCount);
  t.is(await tab.locator('#rows tbody tr:visible td.status').count(), failedCount);
  await tab.selectOption('#transport', { value: 'nats' });
  t.regex((await tab.locator('#rows tbody tr:visible').first().textContent()) ?? '', /skipped: invented, no server/);
  await tab.close();
});

onPage('the theme follows the system until it is chosen, and the choice is remembered', async (t, browser) => {
  const context = await browser.newContext({ colorScheme: 'dark' });
  const tab = await context.newPage();
  await tab.goto(pathToFileURL(page).href);
  const becomes = (theme: string) => tab.locator(`html[data-theme="${theme}"]`).waitFor();
  await becomes('dark');
  await tab.emulateMedia({ colorScheme: 'light' });
  await becomes('light');
  await tab.click('#theme');
  await becomes('dark');
  t.is(await tab.getAttribute('#theme', 'aria-pressed'), 'true');
  await tab.reload();
  await becomes('dark');
  await context.close();
});

onPage('the two panels of a chart stand beside each other on a desktop, and one below the other on a phone', async (t, browser) => {
  t.timeout(90_000);
  const tab = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await tab.goto(pathToFileURL(page).href);
  const topOf = async (title: string) => (await tab.locator('#chart-gap-sweep').getByText(title).boundingBox())?.y ?? 0;
  const distance = async () => (await topOf('99th percentile, µs')) - (await topOf('median, µs'));
  t.true(Math.abs(await distance()) < 5);
  await tab.setViewportSize({ width: 360, height: 800 });
  // The chart follows with the resize event.
  while ((await distance()) < 200) await sleep(50);
  t.true((await distance()) >= 200);
  await tab.close();
});
