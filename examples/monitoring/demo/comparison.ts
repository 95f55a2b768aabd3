import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import Table from 'cli-table3';
import type { Row } from '../../../bench/result.js';
import { quick, scenarios } from '../../../bench/suite/scenarios.js';
import { runSuite } from '../../../bench/suite/suite.js';
import type { Screen } from './screen.js';
import type { Stage } from './stage.js';

interface Case {
  label: string;
  scenario: string;
  transport: string;
}

/** What the table shows, in the names of the bench suite: a scenario without pauses, and a transport. */
function casesFor(pillion: string): Case[] {
  return [
    { label: 'function call', scenario: 'call', transport: 'function' },
    { label: 'pillion send', scenario: 'send', transport: pillion },
    { label: 'pillion call', scenario: 'call', transport: pillion },
    { label: 'pillion callSync', scenario: 'call-sync', transport: pillion },
    { label: 'Unix-socket echo', scenario: 'call', transport: 'uds' },
    { label: 'HTTP, keep-alive', scenario: 'call', transport: 'http' },
    { label: 'fetch', scenario: 'call', transport: 'fetch' },
    { label: 'file append', scenario: 'send', transport: 'file-append' },
  ];
}

const BASE = 'pillion call';
const BUDGET_MS = 30_000;

/**
 * Measures all cases on this machine with the bench suite, roughly, and prints them: pillion over `transport`, which is
 * what app and sidecar came to use here. Returns what failed; what cannot be measured here is no failure.
 */
export async function compare(transport: 'shm' | 'socket', stage: Stage, screen: Screen): Promise<string[]> {
  const directory = join(stage.directory, 'bench');
  mkdirSync(directory, { mode: 0o700 });
  screen.line('What a message costs here. Each case is a pair of processes, measured now:');
  const cases = casesFor(transport);
  const rows = await runSuite({
    scenarios: scenariosOf(cases),
    effort: { ...quick, budgetMs: BUDGET_MS },
    directory,
    progress: ({ text }) => screen.status(text),
  });
  screen.stop();
  const found = cases.map((wanted) => ({ ...wanted, row: rows.find((row) => isOf(row, wanted)) }));
  screen.line(format(found));
  for (const { label, row } of found) {
    if (row?.status !== 'ok') screen.line(`${label}: ${row?.status ?? `not measured over ${transport}`}`);
  }
  screen.line('Call: 64 bytes there and back, awaited. Send and append: one log line. "npm run bench" measures longer.');
  return found.filter(({ row }) => row?.status.startsWith('failed')).map(({ label }) => `${label} could not be measured.`);
}

/** The suite's own scenarios, without the transports that nobody asked for. */
function scenariosOf(cases: readonly Case[]) {
  const isWanted = (scenario: string, transport: string) =>
    cases.some((wanted) => wanted.scenario === scenario && wanted.transport === transport);
  return scenarios
    .filter(({ gapUs }) => gapUs === 0)
    .map((scenario) => ({ ...scenario, transports: scenario.transports.filter((name) => isWanted(scenario.name, name)) }))
    .filter(({ transports }) => transports.length > 0);
}

function isOf(row: Row, { scenario, transport }: Case): boolean {
  return row.scenario === scenario && row.transport === transport;
}

function format(found: readonly { label: string; row: Row | undefined }[]): string {
  const base = found.find(({ label }) => label === BASE)?.row?.p50Us ?? Number.NaN;
  const table = new Table({
    head: ['', 'p50', 'p99', `p50 to ${BASE}`],
    colAligns: ['left', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const { label, row } of found) {
    const p50 = row?.p50Us ?? Number.NaN;
    table.push([label, us(p50), us(row?.p99Us ?? Number.NaN), ratio(p50 / base)]);
  }
  return table.toString();
}

function us(value: number): string {
  return Number.isNaN(value) ? '-' : `${threeDigits(value)} µs`;
}

function ratio(value: number): string {
  return Number.isNaN(value) ? '-' : `${threeDigits(value)} x`;
}

function threeDigits(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
}
