/** The result file: what `--json` writes, and what report and gate read. */

import type { Environment } from './environment.js';
import type { Conditions, Placement } from './rig/lane.js';

export interface Result {
  /** Of this format. */
  schema: 1;
  environment: Environment & { effort: string };
  rows: Row[];
  verdicts: Verdict[];
  /** Empty when the workload was not part of the run. */
  overhead: OverheadRow[];
}

/** A scenario on a transport. What could not be measured is null. Times are microseconds. */
export interface Row extends Conditions {
  scenario: string;
  transport: string;
  /** `ok`, `failed: why` or `skipped: why`. Figures exist only where it is `ok`. */
  status: string;
  rounds: number;
  count: number;
  /** Operations per latency sample; percentiles of a row with more than 1 are those of such small averages. */
  batch: number | null;
  p50Us: number | null;
  p90Us: number | null;
  p99Us: number | null;
  p999Us: number | null;
  p9999Us: number | null;
  maxUs: number | null;
  /** `[percentile, microseconds]` from 0 to 100, for plots. */
  curve: [number, number][];
  opsPerSec: number | null;
  /** Both processes. */
  cpuUsPerOp: number | null;
  appCpuUsPerOp: number | null;
  sidecarCpuUsPerOp: number | null;
  /** Context switches of both processes. */
  switchesPerOp: number | null;
  /** System calls of both processes, counted in a round of their own; null where nothing could count them. */
  syscallsPerOp: number | null;
  /** What the machine allows for this (a row of scenario `limits`), and how many times as long the row takes. */
  limit: string | null;
  timesLimit: number | null;
  /** Median of each round, in order: shows what the median of medians hides. */
  p50UsRounds: number[];
  opsPerSecRounds: number[];
  /** What only some scenarios or transports know: mibPerSec, doorbells, cpuMs, sharedKiB ... */
  extras: Record<string, number>;
}

/** A bar of the core, held against the rows. */
export interface Verdict {
  what: string;
  value: number | null;
  unit: string;
  /** Of the rows it was read from. */
  placement: Placement;
  /** The same value from each single round, as far as the rows have it. */
  rounds: number[];
  bar: string;
  aim: string;
  verdict: 'reached' | 'reached, and the aim' | 'missed' | 'not measured' | '-';
}

export type OverheadVariant = 'embedded' | 'http' | 'pillion';

/** The same workload with its cross-cutting parts inside the app, or in a sidecar. Figures are null unless `status` is `ok`. */
export interface OverheadRow {
  variant: OverheadVariant;
  status: string;
  rounds: number;
  requests: number;
  ratePerSec: number;
  appCpuMsPer1000: number | null;
  sidecarCpuMsPer1000: number | null;
  /** Resident memory at the end, of each process. */
  appRssMiB: number | null;
  sidecarRssMiB: number | null;
  /** Bytes that crossed sockets between app and sidecar, both directions, per request. */
  networkBytesPerRequest: number | null;
  /** What the cross-cutting parts add to one request's latency, on the app's side. */
  p50Us: number | null;
  p99Us: number | null;
}
