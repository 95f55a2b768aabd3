import { PillionError } from '../errors.js';
import type { Hello } from '../protocol/handshake.js';
import type { MetricDefinition } from './definitions.js';
import { Counter, Gauge, Histogram } from './handles.js';
import { cellCount, MAX_LABEL_LENGTH, METRIC, type MetricKind, SERIES } from './layout.js';
import type { CounterRegion, Entry } from './region.js';

type Labels = Readonly<Record<string, unknown>>;
type AnyHandle = Counter | Gauge | Histogram;

interface Metric {
  readonly name: string;
  readonly definition: MetricDefinition;
  /** Its number in the memory; -1 until its first series. */
  number: number;
  /** By the JSON of the checked values. */
  readonly series: Map<string, AnyHandle>;
  /** By the values as they were given, one level per label: finds what was found before without making a key. */
  known: Known | undefined;
}

type Known = AnyHandle | Map<unknown, Known>;

export interface CounterStatus {
  /** Can sidecars read the counters? The app can count in any case. */
  readonly available: boolean;
  /** Why they cannot, or why the connected one does not. */
  readonly reason: string | undefined;
  /** How much of the memory is taken; nothing is ever given back. */
  readonly usedBytes: number;
  readonly counterBytes: number;
}

/** The counters of a client: finds the handle of a name and its labels, or makes it. */
export class CounterTable {
  readonly region: CounterRegion;
  private readonly contractName: string;
  private readonly metrics = new Map<string, Metric>();
  private written = 0;

  constructor(contractName: string, definitions: readonly (readonly [string, MetricDefinition])[], region: CounterRegion) {
    this.contractName = contractName;
    this.region = region;
    for (const [name, definition] of definitions)
      this.metrics.set(name, { name, definition, number: -1, series: new Map(), known: undefined });
  }

  counter(name: string, labels: Labels | undefined): Counter {
    return this.find('counter', name, labels) as Counter;
  }

  gauge(name: string, labels: Labels | undefined): Gauge {
    return this.find('gauge', name, labels) as Gauge;
  }

  histogram(name: string, labels: Labels | undefined): Histogram {
    return this.find('histogram', name, labels) as Histogram;
  }

  /** To be passed to sidecars; -1 for none. */
  get descriptor(): number {
    return this.region.memory?.descriptor ?? -1;
  }

  /** What HELLO says of them. */
  offer(): Pick<Hello, 'counters' | 'noCountersReason'> {
    const { memory, privateReason, bytes } = this.region;
    if (memory !== null) return { counters: { bytes } };
    return privateReason === undefined ? {} : { noCountersReason: privateReason };
  }

  status(refusal: string | undefined): CounterStatus {
    const { privateReason, usedBytes, bytes } = this.region;
    const reason = privateReason ?? refusal;
    return { available: reason === undefined, reason, usedBytes, counterBytes: bytes };
  }

  private find(kind: MetricKind, name: string, labels: Labels | undefined): AnyHandle {
    const metric = this.metrics.get(name);
    if (metric === undefined || metric.definition.kind !== kind) throw this.unknown(kind, name);
    return recall(metric, labels) ?? this.findByKey(metric, labels);
  }

  private findByKey(metric: Metric, labels: Labels | undefined): AnyHandle {
    // Also the entry's text, so two sets of values have the same key only if they are the same.
    const key = JSON.stringify(checkedValues(metric, labels));
    let handle = metric.series.get(key);
    if (handle === undefined) {
      handle = this.create(metric, key);
      metric.series.set(key, handle);
    }
    remember(metric, labels, handle);
    return handle;
  }

  private create(metric: Metric, key: string): AnyHandle {
    const { definition } = metric;
    const buckets = definition.kind === 'histogram' ? definition.buckets : undefined;
    const isFirst = metric.number < 0;
    const number = isFirst ? this.written : metric.number;
    const series: Entry = { type: SERIES, metric: number, cells: cellCount(buckets), text: Buffer.from(key) };
    const cell = this.region.append(isFirst ? [describe(metric), series] : [series]);
    if (cell < 0) {
      throw new PillionError(
        'ERR_PILLION_COUNTERS_FULL',
        `there is no room for ${definition.kind} "${metric.name}" with labels ${key}: ${this.region.usedBytes} of counterBytes=${this.region.bytes} are used. ` +
          'Handles made before go on counting; raise the option counterBytes, or use fewer values of labels',
      );
    }
    if (isFirst) metric.number = this.written++;
    const { cells } = this.region;
    if (buckets !== undefined) return new Histogram(cells, cell, buckets);
    return definition.kind === 'counter' ? new Counter(cells, cell) : new Gauge(cells, cell);
  }

  private unknown(kind: MetricKind, name: string): PillionError {
    const known = [...this.metrics.values()].filter(({ definition }) => definition.kind === kind).map((metric) => metric.name);
    return new PillionError(
      'ERR_PILLION_UNKNOWN_NAME',
      `contract "${this.contractName}" has no ${kind} "${name}"; it has ${known.length > 0 ? known.join(', ') : 'none'}`,
    );
  }

  /** The memory goes; handles that users keep go on counting for the app alone. */
  close(): void {
    this.region.close();
    for (const { series } of this.metrics.values()) for (const handle of series.values()) handle.moveTo(this.region.cells);
  }
}

function recall({ definition, known }: Metric, labels: Labels | undefined): AnyHandle | undefined {
  let given = 0;
  for (const _ in labels) given++;
  if (given !== definition.labels.length) return undefined;
  let node = known;
  for (const label of definition.labels) {
    if (node === undefined) return undefined;
    node = (node as Map<unknown, Known>).get(labels?.[label]);
  }
  return node as AnyHandle | undefined;
}

function remember(metric: Metric, labels: Labels | undefined, handle: AnyHandle): void {
  const path = metric.definition.labels.map((label) => labels?.[label]);
  if (path.length === 0) {
    metric.known = handle;
    return;
  }
  metric.known ??= new Map();
  let level = metric.known as Map<unknown, Known>;
  for (const value of path.slice(0, -1)) {
    const next = (level.get(value) ?? new Map()) as Map<unknown, Known>;
    level.set(value, next);
    level = next;
  }
  level.set(path.at(-1), handle);
}

function describe({ name, definition }: Metric): Entry {
  const { kind, labels, help, unit } = definition;
  const buckets = definition.kind === 'histogram' ? { buckets: definition.buckets } : {};
  return { type: METRIC, metric: 0, cells: 0, text: Buffer.from(JSON.stringify({ name, kind, labels, ...buckets, help, unit })) };
}

/** The values in the order of the definition. */
function checkedValues({ name, definition }: Metric, labels: Labels = {}): string[] {
  const wanted = definition.labels;
  const given = Object.keys(labels);
  if (given.length !== wanted.length || !wanted.every((label) => Object.hasOwn(labels, label))) {
    throw invalid(`${definition.kind} "${name}" takes ${listed(wanted)}, but was given ${listed(given)}`);
  }
  return wanted.map((label) => {
    const value = labels[label];
    const text = typeof value === 'number' ? String(value) : value;
    if (typeof text !== 'string' || text.length > MAX_LABEL_LENGTH)
      throw invalid(`label "${label}" of ${definition.kind} "${name}" is not a number or a text of at most ${MAX_LABEL_LENGTH} characters`);
    return text;
  });
}

function listed(labels: readonly string[]): string {
  return labels.length === 0 ? 'no labels' : `the labels ${labels.join(', ')}`;
}

function invalid(message: string): PillionError {
  return new PillionError('ERR_PILLION_INVALID_ARGUMENT', message);
}
