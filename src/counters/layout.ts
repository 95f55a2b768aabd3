/**
 * The memory of a client's counters: docs/protocol.md, section 9, in numbers. The addon maps it and does not look inside.
 *
 *   0      128                                                                used
 *   | header | entry | entry | entry | ...                                     | nothing yet |
 *
 *   entry, at a multiple of 64:  | 16-byte header | cells, 8 bytes each | text, UTF-8 | zeros |
 */

export const COUNTER_MAGIC = 0x434e4c50;
export const COUNTER_LAYOUT_VERSION = 1;

export const MIN_COUNTER_BYTES = 4096;
export const MAX_COUNTER_BYTES = 2 ** 26;
/** The size of the memory is a multiple of this. */
export const COUNTER_BYTES_STEP = 4096;

/** The header, as indices of u32 words. */
export const MAGIC_WORD = 0;
export const VERSION_WORD = 1;
export const BYTES_WORD = 2;
export const HEADER_BYTES_WORD = 3;
/** Bytes of entries that may be read. Stored by the app after the entries' bytes, in a cache line of its own. */
export const USED_WORD = 16;
export const COUNTER_HEADER_BYTES = 128;

/** An entry's header, as indices of u32 words. */
export const ENTRY_BYTES_WORD = 0;
export const ENTRY_TYPE_WORD = 1;
export const ENTRY_TEXT_WORD = 2;
export const ENTRY_METRIC_WORD = 3;
export const ENTRY_HEADER_BYTES = 16;
/** A cache line, so that what one reader polls does not share one with another series. */
export const ENTRY_ALIGNMENT = 64;

/** Types of entries. A METRIC is described by JSON; a SERIES is one label set of it, with its numbers. */
export const METRIC = 1;
export const SERIES = 2;

export const CELL_BYTES = 8;
export const MAX_TEXT_BYTES = 65536;

/** What a contract may declare, and a reader accepts. */
export const MAX_LABELS = 16;
export const MAX_LABEL_LENGTH = 256;
export const MAX_BUCKETS = 256;
export const MAX_HELP_LENGTH = 1024;

export type MetricKind = 'counter' | 'gauge' | 'histogram';

/** What a METRIC entry says. */
export interface MetricText {
  readonly name: string;
  readonly kind: MetricKind;
  readonly labels: readonly string[];
  /** Upper bounds, ascending; those of a histogram only. */
  readonly buckets?: readonly number[];
  readonly help: string;
  readonly unit: string;
}

/** A counter and a gauge: the value. A histogram: the sum, then the number of observations per bucket, the one without a bound last. */
export function cellCount(buckets: readonly number[] | undefined): number {
  return buckets === undefined ? 1 : buckets.length + 2;
}

export function entryBytes(cells: number, textBytes: number): number {
  return (ENTRY_HEADER_BYTES + cells * CELL_BYTES + textBytes + (ENTRY_ALIGNMENT - 1)) & -ENTRY_ALIGNMENT;
}
