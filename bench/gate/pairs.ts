import type { Build } from './build.js';
import { measureBuild } from './build.js';
import type { Series } from './decide.js';
import type { Metric } from './metrics.js';
import { median } from './statistics.js';

export interface Pair {
  baseUs: number;
  thisUs: number;
}

export interface PairedSeries extends Series {
  pairs: Pair[];
  /** Pairs that were measured again, because one of the two ran in another mode of the machine. */
  repeated: number;
}

export interface PairOptions {
  base: Build;
  current: Build;
  metrics: readonly Metric[];
  pairs: number;
  directory: string;
  progress(text: string, share: number): void;
}

/**
 * On two CPUs the scheduler may leave both sides on one of them, where everything takes several times as long. A regression of a build shows in
 * all of its pairs, that mode only in some.
 */
const modeRatio = 1.7;
const mostRepeatsPerPair = 0.6;

/** Base and this build by turns, so that a noisy minute meets both; who is first changes with every pair. */
export async function measurePairs(options: PairOptions): Promise<PairedSeries[]> {
  const { metrics, pairs, progress } = options;
  const found = metrics.map(() => [] as Pair[]);
  for (let pair = 0; pair < pairs; pair++) {
    for (const [index, metric] of metrics.entries()) {
      progress(`pair ${pair + 1} of ${pairs}, ${metric.name}`, (pair * metrics.length + index) / (pairs * metrics.length));
      (found[index] as Pair[]).push(await measurePair(options, metric, pair % 2 === 0));
    }
  }
  const series: PairedSeries[] = [];
  for (const [index, metric] of metrics.entries()) series.push(await settle(options, metric, found[index] as Pair[]));
  return series;
}

async function measurePair({ base, current, directory }: PairOptions, metric: Metric, isBaseFirst: boolean): Promise<Pair> {
  if (!isBaseFirst) {
    const thisUs = await measureBuild(current, metric, directory);
    return { thisUs, baseUs: await measureBuild(base, metric, directory) };
  }
  const baseUs = await measureBuild(base, metric, directory);
  return { baseUs, thisUs: await measureBuild(current, metric, directory) };
}

/** Replaces the pairs in which the machine was in another mode, as long as there are few of them. */
async function settle(options: PairOptions, metric: Metric, pairs: Pair[]): Promise<PairedSeries> {
  const most = Math.ceil(pairs.length * mostRepeatsPerPair);
  let repeated = 0;
  for (let index = firstOutlier(pairs); index >= 0 && repeated < most; index = firstOutlier(pairs)) {
    options.progress(`${metric.name}, a disturbed pair again`, 1);
    pairs[index] = await measurePair(options, metric, repeated++ % 2 === 0);
  }
  return { metric: metric.name, ratios: pairs.map(({ baseUs, thisUs }) => thisUs / baseUs), pairs, repeated };
}

/**
 * Smaller and larger times are judged each among their own kind, whichever build they are from: a rule that looks at the builds would make the
 * two sides of a pair unequal, and the permutation test rests on their being exchangeable.
 */
function firstOutlier(pairs: readonly Pair[]): number {
  const smaller = pairs.map(({ baseUs, thisUs }) => Math.min(baseUs, thisUs));
  const larger = pairs.map(({ baseUs, thisUs }) => Math.max(baseUs, thisUs));
  const [mostSmall, mostLarge] = [lowerQuartile(smaller) * modeRatio, lowerQuartile(larger) * modeRatio];
  return pairs.findIndex((_, index) => (smaller[index] as number) > mostSmall || (larger[index] as number) > mostLarge);
}

function lowerQuartile(values: readonly number[]): number {
  const centre = median(values);
  return median(values.filter((value) => value <= centre));
}
