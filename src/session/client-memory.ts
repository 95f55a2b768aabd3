import type { NativeAddon, NativeSegment } from '../native.js';
import { systemError } from '../native.js';
import { arenaOfSegment, privateRing, type RingMemory, ringsOfSegment } from '../ring/memory.js';
import { RingProducer } from '../ring/producer.js';
import { Arena } from './arena.js';

/**
 * Where a client's messages are before, during and until a connection has released them: a segment that can be shared, or private memory where
 * that cannot be had.
 */
export interface ClientMemory {
  readonly segment: NativeSegment | null;
  /** Why there is no segment. */
  readonly noShmReason: string | undefined;
  readonly outbound: RingMemory;
  /** The segment's ring 1; null without a segment. */
  readonly inbound: RingMemory | null;
  readonly producer: RingProducer;
  /** Null if the user wants none. */
  readonly arena: Arena | null;
}

export type RingBytes = readonly [toServer: number, toClient: number];

/** A segment if possible, else private memory with the reason. */
export function createMemory(
  addon: NativeAddon | null,
  noShmReason: string | undefined,
  ringBytes: RingBytes,
  arenaBytes: number,
): ClientMemory {
  if (addon === null) return privateMemory(noShmReason, ringBytes, arenaBytes);
  let segment: NativeSegment;
  try {
    segment = addon.Segment.create(ringBytes[0], ringBytes[1], arenaBytes);
  } catch (error) {
    return privateMemory(systemError(error, 'shared memory cannot be had').message, ringBytes, arenaBytes);
  }
  const [outbound, inbound] = ringsOfSegment(segment.buffer, segment.headerBytes, segment.capacities);
  const arena = arenaOfSegment(segment.arena);
  return {
    segment,
    noShmReason: undefined,
    outbound,
    inbound,
    producer: new RingProducer(outbound),
    arena: arena && new Arena(arena, segment),
  };
}

export function privateMemory(noShmReason: string | undefined, ringBytes: RingBytes, arenaBytes: number): ClientMemory {
  const outbound = privateRing(ringBytes[0]);
  const arena = arenaBytes > 0 ? new Arena(new Uint8Array(arenaBytes), null) : null;
  return { segment: null, noShmReason, outbound, inbound: null, producer: new RingProducer(outbound), arena };
}
