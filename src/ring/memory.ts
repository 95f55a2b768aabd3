import { CONTROL_BYTES_PER_RING, CONTROL_OFFSET, HEAD_OFFSET, PARKED_OFFSET, RECORD_SHARE, STARVED_OFFSET, TAIL_OFFSET } from './layout.js';

/**
 * Where a ring lives: its control words and its data. Data is addressable beyond `capacity`, so that a record that starts before the
 * end is contiguous: in a segment because the ring is mapped twice, in private memory because there is slack for one record.
 */
export interface RingMemory {
  readonly capacity: number;
  /** The ring's control words; indices below. */
  readonly control: Int32Array;
  /** The ring's data as bytes and as 32-bit words. */
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
}

export const TAIL = TAIL_OFFSET / 4;
export const HEAD = HEAD_OFFSET / 4;
export const PARKED = PARKED_OFFSET / 4;
export const STARVED = STARVED_OFFSET / 4;

/** The two rings of a mapped segment: [client to server, server to client]. */
export function ringsOfSegment(buffer: ArrayBuffer, headerBytes: number, capacities: readonly [number, number]): [RingMemory, RingMemory] {
  return [
    view(buffer, 0, headerBytes, capacities[0], 2 * capacities[0]),
    view(buffer, 1, headerBytes + 2 * capacities[0], capacities[1], 2 * capacities[1]),
  ];
}

/**
 * A ring that only this thread sees: the outbox and inbox of a socket. A record that runs over the end lies in the slack behind it; the bytes at the
 * start that it would take in a real ring stay unused, so positions mean the same.
 */
export function privateRing(capacity: number): RingMemory {
  const slack = capacity / RECORD_SHARE;
  const buffer = new ArrayBuffer(CONTROL_BYTES_PER_RING + capacity + slack);
  return {
    capacity,
    control: new Int32Array(buffer, 0, CONTROL_BYTES_PER_RING / 4),
    bytes: new Uint8Array(buffer, CONTROL_BYTES_PER_RING),
    words: new Int32Array(buffer, CONTROL_BYTES_PER_RING),
  };
}

/**
 * The bytes of a mapped segment's arena, or null. Memory from outside of V8 is copied or refused when somebody transfers it; marking it as untransferable on top of that
 * would make it impossible to detach on newer versions of Node.
 */
export function arenaOfSegment(buffer: ArrayBuffer | undefined): Uint8Array | null {
  if (buffer === undefined) return null;
  return new Uint8Array(buffer);
}

function view(buffer: ArrayBuffer, ring: number, offset: number, capacity: number, mapped: number): RingMemory {
  return {
    capacity,
    control: new Int32Array(buffer, CONTROL_OFFSET + ring * CONTROL_BYTES_PER_RING, CONTROL_BYTES_PER_RING / 4),
    bytes: new Uint8Array(buffer, offset, mapped),
    words: new Int32Array(buffer, offset, mapped / 4),
  };
}
