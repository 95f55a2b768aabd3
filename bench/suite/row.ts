import type { Row } from '../result.js';
import { combine, curvePercentiles, median } from '../rig/histogram.js';
import type { Conditions, Outcome } from '../rig/lane.js';
import type { Scenario } from './scenarios.js';

interface Measured {
  outcomes: readonly Outcome[];
  status: string;
  syscallsPerOp: number | null;
}

/** Only whole measurements count: a lane that failed in its last round gives no figures from its first ones. */
export function makeRow(scenario: Scenario, transport: string, { outcomes, status, syscallsPerOp }: Measured): Row {
  const valid = status === 'ok' ? outcomes : [];
  const count = sum(valid, (outcome) => outcome.count);
  const perOp = (value: (outcome: Outcome) => number) => (count > 0 ? round(sum(valid, value) / count) : null);
  const opsPerSec = count > 0 ? round(median(valid.map((outcome) => outcome.opsPerSec))) : null;
  return {
    scenario: scenario.name,
    transport,
    ...conditionsOf(scenario),
    status,
    rounds: valid.length,
    count,
    ...latencyOf(valid),
    opsPerSec,
    cpuUsPerOp: perOp(({ appCpuUs, sidecarCpuUs }) => appCpuUs + sidecarCpuUs),
    appCpuUsPerOp: perOp(({ appCpuUs }) => appCpuUs),
    sidecarCpuUsPerOp: perOp(({ sidecarCpuUs }) => sidecarCpuUs),
    switchesPerOp: perOp(({ switches }) => switches),
    syscallsPerOp: status === 'ok' && syscallsPerOp !== null ? round(syscallsPerOp) : null,
    limit: null,
    timesLimit: null,
    opsPerSecRounds: valid.map((outcome) => round(outcome.opsPerSec)),
    extras: extrasOf(scenario, transport, valid, opsPerSec),
  };
}

function conditionsOf(scenario: Scenario): Conditions {
  const { pattern, payloadBytes, gapUs, ratePerSec, clients, idleClients, busyShare, cpuLoad, placement } = scenario;
  return { pattern, payloadBytes, gapUs, ratePerSec, clients, idleClients, busyShare, cpuLoad, placement };
}

type LatencyPart = Pick<Row, 'batch' | 'p50Us' | 'p90Us' | 'p99Us' | 'p999Us' | 'p9999Us' | 'maxUs' | 'curve' | 'p50UsRounds'>;

function latencyOf(outcomes: readonly Outcome[]): LatencyPart {
  const rounds = outcomes.map(({ latency }) => latency).filter((latency) => latency !== undefined);
  if (rounds.length === 0) return unknownLatency;
  const { p50Us, p90Us, p99Us, p999Us, p9999Us, maxUs, curveUs } = combine(rounds);
  return {
    batch: Math.max(...outcomes.map(({ batch }) => batch)),
    p50Us: round(p50Us),
    p90Us: round(p90Us),
    p99Us: round(p99Us),
    p999Us: round(p999Us),
    p9999Us: round(p9999Us),
    maxUs: round(maxUs),
    curve: curvePercentiles.map((percentile, index) => [percentile, round(curveUs[index] as number)]),
    p50UsRounds: rounds.map((latency) => round(latency.p50Us)),
  };
}

const unknownLatency: LatencyPart = {
  batch: null,
  p50Us: null,
  p90Us: null,
  p99Us: null,
  p999Us: null,
  p9999Us: null,
  maxUs: null,
  curve: [],
  p50UsRounds: [],
};

/** What the transports counted themselves, and what follows from it. */
function extrasOf(scenario: Scenario, transport: string, outcomes: readonly Outcome[], opsPerSec: number | null): Record<string, number> {
  const names = new Set(outcomes.flatMap((outcome) => Object.keys(outcome.extras)));
  const extras = Object.fromEntries([...names].map((name) => [name, round(median(outcomes.map((outcome) => outcome.extras[name] ?? 0)))]));
  const count = sum(outcomes, (outcome) => outcome.count);
  if (names.has('doorbells') && count > 0) {
    extras['doorbellsPer1000'] = round((sum(outcomes, (outcome) => outcome.extras['doorbells'] ?? 0) / count) * 1_000);
  }
  const travelledMiB = ((scenario.pattern === 'call' && transport !== 'limit-memcpy' ? 2 : 1) * scenario.payloadBytes) / 2 ** 20;
  if (isBandwidth(scenario) && opsPerSec !== null) extras['mibPerSec'] ??= round(travelledMiB * opsPerSec);
  return extras;
}

/** Where a reader asks for it: of what is large, and of what flows. */
function isBandwidth({ payloadBytes, pattern }: Scenario): boolean {
  return payloadBytes >= 2 ** 16 || pattern === 'stream' || pattern === 'upload';
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

/** Four significant digits are more than any of these measurements knows. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}
