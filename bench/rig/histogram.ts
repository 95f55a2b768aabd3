import { build } from 'hdr-histogram-js';

/** All values in microseconds per operation. */
export interface Latency {
  p50Us: number;
  p90Us: number;
  p99Us: number;
  p999Us: number;
  p9999Us: number;
  maxUs: number;
  /** The value at each of `curvePercentiles`. */
  curveUs: number[];
}

/** Where the plots have their points: denser towards the tail. */
export const curvePercentiles = [0, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 99.999, 100] as const;

const longestUs = 60_000_000;
/** The histogram counts whole numbers; a tenth of a nanosecond keeps an empty function call measurable. */
const ticksPerUs = 10_000;

/** Records durations with three significant digits, in constant memory however long a run lasts. */
export class LatencyRecorder {
  readonly #histogram = build({
    bitBucketSize: 64,
    lowestDiscernibleValue: 1,
    highestTrackableValue: longestUs * ticksPerUs,
    numberOfSignificantValueDigits: 3,
  });

  /** A negative duration, as two clocks that are read by two processes can yield, counts as none. */
  record(us: number, times = 1): void {
    const ticks = Math.min(Math.max(Math.round(us * ticksPerUs), 0), longestUs * ticksPerUs);
    if (times === 1) this.#histogram.recordValue(ticks);
    else this.#histogram.recordValueWithCount(ticks, times);
  }

  get sampleCount(): number {
    return this.#histogram.totalCount;
  }

  /** Undefined when nothing was recorded. */
  percentileUs(percentile: number): number | undefined {
    return this.sampleCount === 0 ? undefined : this.#histogram.getValueAtPercentile(percentile) / ticksPerUs;
  }

  latency(): Latency | undefined {
    if (this.sampleCount === 0) return undefined;
    const at = (percentile: number) => this.percentileUs(percentile) as number;
    return {
      p50Us: at(50),
      p90Us: at(90),
      p99Us: at(99),
      p999Us: at(99.9),
      p9999Us: at(99.99),
      maxUs: at(100),
      curveUs: curvePercentiles.map(at),
    };
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** Each percentile is the median of the rounds', so one disturbed round can't move it; the maximum is the largest. */
export function combine(rounds: readonly Latency[]): Latency {
  const of = (value: (round: Latency) => number) => median(rounds.map(value));
  const maxUs = Math.max(...rounds.map((round) => round.maxUs));
  return {
    p50Us: of((round) => round.p50Us),
    p90Us: of((round) => round.p90Us),
    p99Us: of((round) => round.p99Us),
    p999Us: of((round) => round.p999Us),
    p9999Us: of((round) => round.p9999Us),
    maxUs,
    curveUs: curvePercentiles.map((percentile, index) => (percentile === 100 ? maxUs : of((round) => round.curveUs[index] as number))),
  };
}
