import { type NativeAddon, type NativeCounterMemory, systemError } from '../native.js';
import {
  BYTES_WORD,
  CELL_BYTES,
  COUNTER_HEADER_BYTES,
  COUNTER_LAYOUT_VERSION,
  COUNTER_MAGIC,
  ENTRY_BYTES_WORD,
  ENTRY_HEADER_BYTES,
  ENTRY_METRIC_WORD,
  ENTRY_TEXT_WORD,
  ENTRY_TYPE_WORD,
  entryBytes,
  HEADER_BYTES_WORD,
  MAGIC_WORD,
  USED_WORD,
  VERSION_WORD,
} from './layout.js';

/** An entry to be written. */
export interface Entry {
  readonly type: number;
  /** Of a SERIES: the number of its METRIC, counted from 0 in the order of the entries. */
  readonly metric: number;
  readonly cells: number;
  readonly text: Uint8Array;
}

/** The app's side of its counters' memory: entries are appended and never moved, changed or taken back. */
export class CounterRegion {
  readonly bytes: number;
  /** To be offered to sidecars; null: this memory is the app's alone. */
  memory: NativeCounterMemory | null;
  /** Why it is. */
  readonly privateReason: string | undefined;
  /** The whole memory as numbers. Another array after `close`. */
  cells: Float64Array;
  usedBytes = 0;
  private words: Int32Array;

  constructor(bytes: number, memory: NativeCounterMemory | null, privateReason: string | undefined) {
    this.bytes = bytes;
    this.memory = memory;
    this.privateReason = privateReason;
    const buffer = memory?.buffer ?? new ArrayBuffer(bytes);
    this.cells = new Float64Array(buffer);
    this.words = new Int32Array(buffer);
    this.words[MAGIC_WORD] = COUNTER_MAGIC;
    this.words[VERSION_WORD] = COUNTER_LAYOUT_VERSION;
    this.words[BYTES_WORD] = bytes;
    this.words[HEADER_BYTES_WORD] = COUNTER_HEADER_BYTES;
  }

  /** Writes the entries and publishes them together. Returns the index of the last one's first cell, or -1: there is no room for all of them. */
  append(entries: readonly Entry[]): number {
    const needed = entries.reduce((sum, { cells, text }) => sum + entryBytes(cells, text.length), 0);
    if (needed > this.bytes - COUNTER_HEADER_BYTES - this.usedBytes) return -1;
    let cell = -1;
    for (const entry of entries) cell = this.write(entry);
    // The one store that publishes: a sidecar that sees it sees the bytes written before.
    Atomics.store(this.words, USED_WORD, this.usedBytes);
    return cell;
  }

  private write({ type, metric, cells, text }: Entry): number {
    const length = entryBytes(cells, text.length);
    const start = COUNTER_HEADER_BYTES + this.usedBytes;
    const word = start / 4;
    this.words[word + ENTRY_BYTES_WORD] = length;
    this.words[word + ENTRY_TYPE_WORD] = type;
    this.words[word + ENTRY_TEXT_WORD] = text.length;
    this.words[word + ENTRY_METRIC_WORD] = metric;
    new Uint8Array(this.words.buffer).set(text, start + ENTRY_HEADER_BYTES + cells * CELL_BYTES);
    this.usedBytes += length;
    return (start + ENTRY_HEADER_BYTES) / CELL_BYTES;
  }

  /** Goes on in a private copy and gives the memory back. */
  close(): void {
    const { memory } = this;
    if (memory === null) return;
    this.memory = null;
    this.cells = this.cells.slice();
    this.words = new Int32Array(this.cells.buffer);
    memory.close();
  }
}

/** Memory that sidecars can read if possible, else the app's own with the reason. */
export function createRegion(addon: NativeAddon | null, noAddonReason: string | undefined, bytes: number): CounterRegion {
  if (addon === null) return new CounterRegion(bytes, null, noAddonReason);
  try {
    return new CounterRegion(bytes, addon.CounterMemory.create(bytes), undefined);
  } catch (error) {
    return new CounterRegion(bytes, null, systemError(error, 'shared memory for counters cannot be had').message);
  }
}
