import type { Criteria, Decision } from './decide.js';
import { decide } from './decide.js';
import type { PairedSeries, PairOptions } from './pairs.js';
import { measurePairs } from './pairs.js';

export interface CheckResult {
  decisions: Decision[];
  series: PairedSeries[];
  /** Of the metrics that seemed slower: what a second, independent series said. */
  confirmations: Decision[];
  /** Slower in both series. */
  regressions: string[];
}

/** A regression has to show in two independent series, so that what one bad minute suggests fails nobody's build. */
export async function check(options: PairOptions, criteria: Criteria): Promise<CheckResult> {
  const series = await measurePairs(options);
  const decisions = decide(series, criteria);
  const suspects = namesOf(decisions);
  if (suspects.length === 0) return { decisions, series, confirmations: [], regressions: [] };
  const metrics = options.metrics.filter(({ name }) => suspects.includes(name));
  const second = await measurePairs({
    ...options,
    metrics,
    progress: (text, share) => options.progress(`confirming: ${text}`, share),
  });
  const confirmations = decide(second, criteria);
  return { decisions, series, confirmations, regressions: namesOf(confirmations) };
}

function namesOf(decisions: readonly Decision[]): string[] {
  return decisions.filter(({ verdict }) => verdict === 'slower').map(({ metric }) => metric);
}
