/**
 * Offsets in the segment and in a record: docs/protocol.md, sections 2 and 3, in numbers. The twin of native/layout.h.
 */

export const SEGMENT_MAGIC = 0x314e4c50;
export const LAYOUT_VERSION = 1;

export const MIN_RING_BYTES = 4096;
export const MAX_RING_BYTES = 2 ** 30;
export const MAX_ARENA_BYTES = 2 ** 30;

/** Page 0, byte offsets of the words that describe the segment. */
export const MAGIC_OFFSET = 0x000;
export const VERSION_OFFSET = 0x004;
export const SEGMENT_BYTES_OFFSET = 0x008;
export const HEADER_BYTES_OFFSET = 0x00c;
export const RING_TABLE_OFFSET = 0x010;
export const ARENA_OFFSET = 0x020;

/** Control words of a ring, relative to `CONTROL_OFFSET + ring * CONTROL_BYTES_PER_RING`. */
export const CONTROL_OFFSET = 0x400;
export const CONTROL_BYTES_PER_RING = 0x200;
export const TAIL_OFFSET = 0x000;
export const HEAD_OFFSET = 0x080;
export const PARKED_OFFSET = 0x100;
export const STARVED_OFFSET = 0x180;
export const CPU_OFFSET = 0x104;

/** Values of the `parked` word. */
export const AWAKE = 0;
export const ASLEEP = 1;
export const DOZING = 2;

export const RECORD_HEADER_BYTES = 16;
export const RECORD_ALIGNMENT = 8;
/** An arena consists of whole pages of at least this size. */
export const ARENA_PAGE_BYTES = 4096;
/** Blocks of the arena begin at multiples of this: a cache line. */
export const ARENA_ALIGNMENT = 64;
/** A record is at most this fraction of its ring. */
export const RECORD_SHARE = 4;

/** Bytes that a payload takes in the ring: header, payload, padding. */
export function alignedLength(payloadLength: number): number {
  return (RECORD_HEADER_BYTES + payloadLength + (RECORD_ALIGNMENT - 1)) & -RECORD_ALIGNMENT;
}

/** The longest payload that fits one record of a ring. */
export function maxPayloadBytes(capacity: number): number {
  return capacity / RECORD_SHARE - RECORD_HEADER_BYTES;
}
