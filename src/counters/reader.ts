import { ProtocolError } from '../errors.js';
import type { NativeCounterMemory } from '../native.js';
import { privateCopy } from '../ring/copy.js';
import {
  BYTES_WORD,
  CELL_BYTES,
  COUNTER_HEADER_BYTES,
  COUNTER_LAYOUT_VERSION,
  COUNTER_MAGIC,
  cellCount,
  ENTRY_ALIGNMENT,
  ENTRY_BYTES_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_METRIC_WORD,
  ENTRY_TEXT_WORD,
  ENTRY_TYPE_WORD,
  entryBytes,
  HEADER_BYTES_WORD,
  MAGIC_WORD,
  MAX_TEXT_BYTES,
  METRIC,
  type MetricText,
  SERIES,
  USED_WORD,
  VERSION_WORD,
} from './layout.js';
import { parseMetric, parseValues } from './metric-text.js';
import type { MetricSnapshot } from './snapshot.js';

interface Series {
  readonly metric: MetricText;
  readonly labels: Readonly<Record<string, string>>;
  readonly firstCell: number;
}

/**
 * The sidecar's side of a client's counters. Whatever lies in the memory is a claim: each word is loaded once and checked, text is copied to private memory
 * before it is decoded, and what an entry said is remembered, so that it cannot be changed later. Only the numbers are read anew each time.
 */
export class CounterReader {
  private readonly memory: Pick<NativeCounterMemory, 'buffer' | 'close'>;
  /** Never written to: the mapping is read-only. */
  private readonly words: Int32Array;
  private readonly cells: Float64Array;
  private readonly bytes: Uint8Array;
  private readonly capacity: number;
  private readonly metrics: MetricText[] = [];
  private readonly series: Series[] = [];
  /** Bytes of entries that have been read. */
  private read = 0;

  /** @throws ProtocolError if the header is not that of counters. The memory is the caller's then. */
  constructor(memory: Pick<NativeCounterMemory, 'buffer' | 'close'>) {
    const { buffer } = memory;
    this.memory = memory;
    this.words = new Int32Array(buffer);
    this.cells = new Float64Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.capacity = buffer.byteLength - COUNTER_HEADER_BYTES;
    if (this.word(MAGIC_WORD) !== COUNTER_MAGIC) throw fault('their memory has a wrong magic number');
    const version = this.word(VERSION_WORD);
    if (version !== COUNTER_LAYOUT_VERSION) throw fault(`their memory has layout version ${version}, known is ${COUNTER_LAYOUT_VERSION}`);
    if (this.word(BYTES_WORD) !== buffer.byteLength || this.word(HEADER_BYTES_WORD) !== COUNTER_HEADER_BYTES)
      throw fault('the header of their memory does not fit it');
  }

  /** All numbers as they are now. @throws ProtocolError if the directory is broken; what was read before stays known. */
  snapshot(): MetricSnapshot[] {
    this.readDirectory();
    return this.series.map(({ metric, labels, firstCell }) => {
      const { name, kind, help, unit, buckets } = metric;
      const common = { name, help, unit, labels };
      return kind === 'histogram'
        ? { ...common, kind, ...this.distribution(firstCell, buckets ?? []) }
        : { ...common, kind, value: this.number(firstCell) };
    });
  }

  close(): void {
    this.memory.close();
  }

  private word(index: number): number {
    return Atomics.load(this.words, index) >>> 0;
  }

  /** Any bits may be in a cell; the sums of others must not suffer. */
  private number(cell: number): number {
    const value = this.cells[cell] as number;
    return Number.isFinite(value) ? value : 0;
  }

  private distribution(firstCell: number, bounds: readonly number[]) {
    // The count is the sum of what was read, so that it fits the buckets even while the app goes on.
    let count = 0;
    const buckets = [...bounds, Number.POSITIVE_INFINITY].map((le, index) => {
      const inBucket = this.cells[firstCell + 1 + index] as number;
      count += inBucket >= 0 && inBucket <= Number.MAX_SAFE_INTEGER ? inBucket : 0;
      return { le, count };
    });
    return { count, sum: this.number(firstCell), buckets };
  }

  private readDirectory(): void {
    const used = this.word(USED_WORD);
    if (used % ENTRY_ALIGNMENT !== 0 || used > this.capacity || used < this.read)
      throw fault(`their directory claims ${used} bytes of ${this.capacity}, of which ${this.read} were there before`);
    while (this.read < used) this.read += this.readEntry(COUNTER_HEADER_BYTES + this.read, used - this.read);
  }

  private readEntry(start: number, available: number): number {
    const word = start / 4;
    const length = this.word(word + ENTRY_BYTES_WORD);
    const type = this.word(word + ENTRY_TYPE_WORD);
    const textBytes = this.word(word + ENTRY_TEXT_WORD);
    const number = this.word(word + ENTRY_METRIC_WORD);
    if (length > available || textBytes > MAX_TEXT_BYTES) throw fault(`an entry of ${length} bytes does not fit`);
    if (type !== METRIC && type !== SERIES) throw fault(`an entry has type ${type}`);
    const metric = this.metrics[number];
    if (type === SERIES && metric === undefined) throw fault(`a series is of metric ${number}, of ${this.metrics.length}`);
    const cells = type === METRIC ? 0 : cellCount(metric?.buckets);
    // Also what keeps every cell within the memory.
    if (length !== entryBytes(cells, textBytes))
      throw fault(`an entry of ${length} bytes holds ${cells} cells and ${textBytes} bytes of text`);
    const textStart = start + ENTRY_HEADER_BYTES + cells * CELL_BYTES;
    const text = privateCopy(this.bytes, textStart, textStart + textBytes);
    if (type === METRIC) this.metrics.push(parseMetric(text));
    else {
      const { labels } = metric as MetricText;
      const values = parseValues(text, labels.length);
      const entries = labels.map((label, index) => [label, values[index] as string]);
      this.series.push({
        metric: metric as MetricText,
        labels: Object.freeze(Object.fromEntries(entries)),
        firstCell: (start + ENTRY_HEADER_BYTES) / CELL_BYTES,
      });
    }
    return length;
  }
}

function fault(what: string): ProtocolError {
  return new ProtocolError(`the client's counters are malformed: ${what}`);
}
