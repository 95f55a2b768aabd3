import type { Row, Verdict } from '../result.js';
import { median } from '../rig/histogram.js';
import type { Reading } from '../suite/calm.js';

/** One whole measurement of the headline, in processes of its own. */
export interface Run {
  date: string;
  loadAverage: number;
  /** What the machine took for its own things between the turns; null where nothing could look. */
  machine: Reading | null;
  verdicts: readonly Verdict[];
  rows: readonly Row[];
}

/** What became of one headline value from run to run. */
export interface Spread {
  what: string;
  unit: string;
  /** A ratio of two rows of the same run, or a value that stands for itself. */
  isRatio: boolean;
  /** One for each run, in order; null where a side of it failed, was skipped, or the time was up. */
  values: (number | null)[];
  /** Of those that were measured. */
  median: number | null;
  least: number | null;
  most: number | null;
  /** `(most - least) / median`: the widest that two runs were apart. Null below two values. */
  spread: number | null;
}

/** Ratios come first: they are what is claimed. */
export function spreadsOf(runs: readonly Run[]): Spread[] {
  const names = new Set(runs.flatMap(({ verdicts }) => verdicts.map(({ what }) => what)));
  const all = [...names].map((what) => spreadOf(what, runs));
  return [...all.filter(({ isRatio }) => isRatio), ...all.filter(({ isRatio }) => !isRatio)];
}

function spreadOf(what: string, runs: readonly Run[]): Spread {
  const found = runs.map(({ verdicts }) => verdicts.find((verdict) => verdict.what === what));
  const unit = found.find((verdict) => verdict !== undefined)?.unit ?? '';
  const values = found.map((verdict) => rounded(verdict?.value ?? null));
  const known = values.filter((value) => value !== null);
  const centre = known.length === 0 ? null : rounded(median(known));
  const least = known.length === 0 ? null : Math.min(...known);
  const most = known.length === 0 ? null : Math.max(...known);
  const isKnown = known.length > 1 && centre !== null && centre !== 0 && least !== null && most !== null;
  return {
    what,
    unit,
    isRatio: unit === 'x',
    values,
    median: centre,
    least,
    most,
    spread: isKnown ? rounded((most - least) / centre) : null,
  };
}

/** The rows of a run that have no figures, and why. */
export function troublesOf({ rows }: Run): string[] {
  return rows.filter(({ status }) => status !== 'ok').map(({ scenario, transport, status }) => `${scenario}, ${transport}: ${status}`);
}

function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(4));
}
