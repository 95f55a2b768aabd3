import type { Latency } from './histogram.js';
import { combine, median } from './histogram.js';
import type { Outcome } from './rig.js';
import type { Scenario } from './scenarios.js';

/** One line of the result file: a scenario on a transport. What could not be measured is null. */
export interface Row {
  scenario: string;
  transport: string;
  payloadBytes: number;
  gapUs: number;
  count: number;
  p50Us: number | null;
  p90Us: number | null;
  p99Us: number | null;
  p999Us: number | null;
  maxUs: number | null;
  opsPerSec: number | null;
  cpuUsPerOp: number | null;
  /** `ok`, `failed: why` or `skipped: why`. */
  status: string;
  /** Operations per latency sample; percentiles of a row with more than 1 are those of such small averages. */
  batch: number | null;
  rounds: number;
  /** Of each round, in its order: shows what the median hides. */
  p50UsRounds: number[];
  [extra: string]: number | string | null | number[];
}

/** Only whole measurements count: a lane that failed in its last round gives no figures from its first ones. */
export function makeRow(scenario: Scenario, transport: string, outcomes: readonly Outcome[], status: string): Row {
  const valid = status === 'ok' ? outcomes : [];
  const count = sum(valid, ({ count }) => count);
  const latencies = valid.map(({ latency }) => latency).filter((latency) => latency !== undefined);
  const isIdle = scenario.pattern === 'idle';
  const hasRate = valid.length > 0 && !isIdle;
  const opsPerSec = median(valid.map((outcome) => outcome.opsPerSec));
  return {
    scenario: scenario.name,
    transport,
    payloadBytes: scenario.payloadBytes,
    gapUs: scenario.gapUs,
    count,
    ...(latencies.length > 0 ? rounded(combine(latencies)) : unknownLatency),
    opsPerSec: hasRate ? round(opsPerSec) : null,
    cpuUsPerOp: hasRate ? round(sum(valid, ({ cpuUs }) => cpuUs) / count) : null,
    status,
    batch: latencies.length > 0 ? Math.max(...valid.map(({ batch }) => batch)) : null,
    rounds: valid.length,
    p50UsRounds: latencies.map(({ p50Us }) => round(p50Us)),
    ...extras(scenario, valid, opsPerSec),
  };
}

const unknownLatency = { p50Us: null, p90Us: null, p99Us: null, p999Us: null, maxUs: null };

function rounded(latency: Latency): Latency {
  const { p50Us, p90Us, p99Us, p999Us, maxUs } = latency;
  return { p50Us: round(p50Us), p90Us: round(p90Us), p99Us: round(p99Us), p999Us: round(p999Us), maxUs: round(maxUs) };
}

/** What the transports counted themselves, and what follows from it. */
function extras(scenario: Scenario, outcomes: readonly Outcome[], opsPerSec: number): Record<string, number> {
  const names = new Set(outcomes.flatMap((outcome) => Object.keys(outcome.extras)));
  const total = (name: string) => sum(outcomes, ({ extras }) => extras[name] ?? 0);
  const extras = Object.fromEntries([...names].map((name) => [name, round(total(name))]));
  if (names.has('doorbells') && scenario.pattern === 'send') {
    extras['doorbellsPer1000'] = round((total('doorbells') / sum(outcomes, ({ count }) => count)) * 1_000);
  }
  const travelledMiB = (2 * scenario.payloadBytes) / 2 ** 20;
  if (travelledMiB >= 1 && outcomes.length > 0) extras['mibPerSec'] = round(travelledMiB * opsPerSec);
  return extras;
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

/** Four significant digits are more than any of these measurements knows. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}
