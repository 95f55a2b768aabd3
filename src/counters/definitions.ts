import { PillionError } from '../errors.js';
import { MAX_BUCKETS, MAX_HELP_LENGTH, MAX_LABEL_LENGTH, MAX_LABELS, type MetricKind } from './layout.js';

/** What all numbers of a contract have. */
interface Described<L extends string> {
  /** Names of the labels; each set of values counts apart. */
  readonly labels: readonly L[];
  readonly help: string;
  readonly unit: string;
}

/** A number that only grows. */
export interface CounterDefinition<L extends string = string> extends Described<L> {
  readonly kind: 'counter';
}

/** A number that goes up and down. */
export interface GaugeDefinition<L extends string = string> extends Described<L> {
  readonly kind: 'gauge';
}

/** How often observed values fell into which range. */
export interface HistogramDefinition<L extends string = string> extends Described<L> {
  readonly kind: 'histogram';
  readonly buckets: readonly number[];
}

export type MetricDefinition<L extends string = string> = CounterDefinition<L> | GaugeDefinition<L> | HistogramDefinition<L>;

/** Options of `counter` and `gauge`. */
export interface MetricOptions<L extends readonly string[]> {
  /** Names of the labels, at most 16: letters, digits and `_`. */
  labels?: L;
  /** What is counted, for whoever reads the numbers. */
  help?: string;
  /** For example `bytes`, `seconds`. */
  unit?: string;
}

/** Options of `histogram`. */
export interface HistogramOptions<L extends readonly string[]> extends MetricOptions<L> {
  /** Upper bounds, ascending, each included in its bucket; one more without a bound is added. At most 256. */
  buckets: readonly number[];
}

/** Names of a contract's numbers of one kind, and the labels that one needs. */
export type MetricNames<D, K extends MetricKind> = { [N in keyof D]: D[N] extends { readonly kind: K } ? N : never }[keyof D] & string;
export type LabelNames<D, N extends keyof D> = D[N] extends { readonly labels: readonly (infer L extends string)[] } ? L : never;
export type LabelValues<D, N extends keyof D> = Readonly<Record<LabelNames<D, N>, string | number>>;
export type LabelArguments<D, N extends keyof D> = [LabelNames<D, N>] extends [never] ? [] : [labels: LabelValues<D, N>];

/** Defines a number that only grows, such as requests served. */
export function counter<const L extends readonly string[] = []>(options: MetricOptions<L> = {}): CounterDefinition<L[number]> {
  return Object.freeze({ kind: 'counter', ...described(options) });
}

/** Defines a number that goes up and down, such as requests in flight. */
export function gauge<const L extends readonly string[] = []>(options: MetricOptions<L> = {}): GaugeDefinition<L[number]> {
  return Object.freeze({ kind: 'gauge', ...described(options) });
}

/** Defines a distribution over fixed buckets, such as response times. */
export function histogram<const L extends readonly string[] = []>(options: HistogramOptions<L>): HistogramDefinition<L[number]> {
  return Object.freeze({ kind: 'histogram', ...described(options, ['le']), buckets: checkedBuckets(options?.buckets) });
}

/** What Prometheus and OpenTelemetry both accept. */
const LABEL_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

function described<L extends readonly string[]>({ labels, help = '', unit = '' }: MetricOptions<L>, reserved: string[] = []) {
  const names: readonly string[] = labels ?? [];
  if (!Array.isArray(names) || names.length > MAX_LABELS) throw invalid(`labels are an array of at most ${MAX_LABELS} names`);
  for (const name of names) {
    if (typeof name !== 'string' || name.length > MAX_LABEL_LENGTH || !LABEL_NAME.test(name) || reserved.includes(name))
      throw invalid(`${JSON.stringify(name)} cannot be the name of a label`);
  }
  if (new Set(names).size !== names.length) throw invalid(`a label is named twice: ${names.join(', ')}`);
  if (typeof help !== 'string' || help.length > MAX_HELP_LENGTH) throw invalid(`help is a text of at most ${MAX_HELP_LENGTH} characters`);
  if (typeof unit !== 'string' || unit.length > MAX_LABEL_LENGTH) throw invalid(`unit is a text of at most ${MAX_LABEL_LENGTH} characters`);
  return { labels: Object.freeze([...names]) as readonly L[number][], help, unit };
}

function checkedBuckets(buckets: readonly number[]): readonly number[] {
  const isAscending = (bound: unknown, index: number): boolean =>
    typeof bound === 'number' && Number.isFinite(bound) && (index === 0 || bound > (buckets[index - 1] as number));
  if (!Array.isArray(buckets) || buckets.length === 0 || buckets.length > MAX_BUCKETS || !buckets.every(isAscending))
    throw invalid(`buckets=${JSON.stringify(buckets)} are not 1 to ${MAX_BUCKETS} ascending numbers`);
  return Object.freeze([...buckets]);
}

function invalid(message: string): PillionError {
  return new PillionError('ERR_PILLION_INVALID_ARGUMENT', message);
}
