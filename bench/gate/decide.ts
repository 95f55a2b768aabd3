import { holm, median, medianUncertainty, signFlipP } from './statistics.js';

/** One metric of two builds: `ratios[i]` is this build's time per operation divided by the base's, in pair i. */
export interface Series {
  metric: string;
  ratios: readonly number[];
}

export interface Criteria {
  /** The median ratio has to be beyond it. */
  ratio: number;
  /** Level of significance, for all metrics together. */
  alpha: number;
}

export interface Decision {
  metric: string;
  pairs: number;
  medianRatio: number;
  /** Of the median ratio, 95 %. */
  interval: [number, number];
  /** Corrected for the number of metrics. */
  p: number;
  /** `undecided`: not slower beyond doubt, but the noise could hide a slow-down of the set ratio. */
  verdict: 'slower' | 'fine' | 'undecided';
}

/** Slower is only what is both significant and beyond the ratio: a difference too small to care about can be significant, too. */
export function decide(series: readonly Series[], { ratio, alpha }: Criteria): Decision[] {
  const logs = series.map(({ ratios }) => ratios.map(Math.log));
  const pValues = holm(logs.map((values) => signFlipP(values)));
  return series.map(({ metric, ratios }, index) => {
    const values = logs[index] as number[];
    const p = pValues[index] as number;
    const centre = median(values);
    const uncertainty = medianUncertainty(values);
    const isSlower = p <= alpha && centre > Math.log(ratio);
    const couldHide = centre + uncertainty > Math.log(ratio);
    return {
      metric,
      pairs: ratios.length,
      medianRatio: Math.exp(centre),
      interval: [Math.exp(centre - uncertainty), Math.exp(centre + uncertainty)],
      p,
      verdict: isSlower ? 'slower' : couldHide ? 'undecided' : 'fine',
    };
  });
}
