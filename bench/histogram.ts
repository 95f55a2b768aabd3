import { build } from 'hdr-histogram-js';

/** All percentiles in microseconds per operation. */
export interface Latency {
  p50Us: number;
  p90Us: number;
  p99Us: number;
  p999Us: number;
  maxUs: number;
}

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

  record(us: number): void {
    this.#histogram.recordValue(Math.min(Math.round(us * ticksPerUs), longestUs * ticksPerUs));
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
    return { p50Us: at(50), p90Us: at(90), p99Us: at(99), p999Us: at(99.9), maxUs: at(100) };
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
  const of = (key: keyof Latency) => median(rounds.map((round) => round[key]));
  return {
    p50Us: of('p50Us'),
    p90Us: of('p90Us'),
    p99Us: of('p99Us'),
    p999Us: of('p999Us'),
    maxUs: Math.max(...rounds.map((round) => round.maxUs)),
  };
}
