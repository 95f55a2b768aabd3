import { readFileSync } from 'node:fs';
import Table from 'cli-table3';
import { scrape } from './scrape.js';
import type { Screen } from './screen.js';
import type { Stage } from './stage.js';
import { type Outcome, PHASES } from './story.js';

/** What the customers felt while the sidecar went through its life. */
export function showLatencies(outcome: Outcome, screen: Screen): void {
  const table = new Table({
    head: ['sidecar', 'answers', 'HTTP p50', 'HTTP p99'],
    colAligns: ['left', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const phase of PHASES) {
    const sorted = (outcome.customers.latenciesMs.get(phase) ?? []).toSorted((a, b) => a - b);
    table.push([phase, sorted.length, ms(quantile(sorted, 0.5)), ms(quantile(sorted, 0.99))]);
  }
  screen.line(table.toString());
}

/** Compares the customers' orders with the sidecar's books. Returns what does not agree. */
export async function audit(outcome: Outcome, stage: Stage, screen: Screen): Promise<string[]> {
  const { customers, summary } = outcome;
  const series = await scrape(outcome.metricsPort);
  const scraped = (name: string) => series.get(name) ?? Number.NaN;
  const counted = scraped('orders_created_total');
  const skipped = scraped('orders_redelivered_total{outcome="skipped"}');
  const redelivered = skipped + scraped('orders_redelivered_total{outcome="counted"}');

  screen.line(`orders answered with 201 by the app       ${pad(customers.orders.size)}`);
  screen.line(`orders counted in /metrics                ${pad(counted)}`);
  screen.line(`  taken while no sidecar was reading      ${pad(outcome.unattendedCount)}`);
  screen.line(`  restored from the journal               ${pad(summary.restored)}`);
  screen.line(`  redelivered to the second sidecar       ${pad(redelivered)}`);
  screen.line(`    counted by the first one, so skipped  ${pad(skipped)}`);
  screen.line(`bad orders, answered with 400             ${pad(customers.rejectedCount)}`);
  screen.line(`events accepted and dropped by pillion    ${pad(outcome.acceptedCount)} ${pad(outcome.droppedCount)}`);

  const journal = readFileSync(stage.journal, 'latin1').trimEnd().split('\n');
  const problems: string[] = [];
  const expect = (isTrue: boolean, problem: string) => {
    if (!isTrue) problems.push(problem);
  };
  expect(counted === customers.orders.size, 'The sidecar did not count what the app answered.');
  expect(summary.orders === counted, 'The sidecar says one thing in /metrics and another over pillion.');
  expect(journal.length === customers.orders.size, 'The journal has a different number of orders.');
  expect(
    journal.every((id) => customers.orders.has(id)),
    'The journal has orders that nobody made.',
  );
  expect(outcome.droppedCount === 0, 'Events were dropped.');
  return problems;
}

function quantile(sorted: readonly number[], fraction: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}

function ms(value: number): string {
  return `${value.toFixed(2)} ms`;
}

function pad(count: number): string {
  return count.toLocaleString('en').padStart(7);
}
