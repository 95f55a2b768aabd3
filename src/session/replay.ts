import { ProtocolError } from '../errors.js';
import { CALL, checkTag, EVENT, flagsOf, kindOf, MORE, REDELIVERED } from '../protocol/frame.js';
import { copyBytes } from '../ring/copy.js';
import { alignedLength, maxPayloadBytes, RECORD_HEADER_BYTES } from '../ring/layout.js';
import type { RingMemory } from '../ring/memory.js';
import type { RingProducer } from '../ring/producer.js';

export interface ReplayOptions {
  /** Mark events: the last server may have handled them. */
  isRedelivery: boolean;
  /** Is this call to be sent again? `records` of its records lie in the old ring. */
  keepCall(id: number, records: number): boolean;
}

export interface ReplayResult {
  events: number;
  /** Set if a record was not what this side had written: what came after it is lost. */
  fault?: ProtocolError;
}

/**
 * Copies what a peer had not released into the next ring, in order. The old ring was shared, so its bytes are the peer's claims by now, and each record is
 * checked as on any read. Its positions are not: `from` is the head as last checked, `to` this side's own.
 */
export function replay(old: RingMemory, from: number, to: number, next: RingProducer, options: ReplayOptions): ReplayResult {
  const records: OldRecord[] = [];
  const fault = readRecords(old, from, to, records);
  const callRecords = new Map<number, number>();
  for (const { tag, id } of records) {
    if (kindOf(tag) === CALL) callRecords.set(id, (callRecords.get(id) ?? 0) + 1);
  }
  const kept = new Set<number>();
  for (const [id, count] of callRecords) if (options.keepCall(id, count)) kept.add(id);

  let events = 0;
  for (const { offset, length, tag, id, aux } of records) {
    const isEvent = kindOf(tag) === EVENT;
    if (!isEvent && !kept.has(id)) continue;
    // The last fragment stands for its event.
    if (isEvent && (flagsOf(tag) & MORE) === 0) events++;
    const target = next.tryClaim(length);
    if (target < 0) break;
    copyBytes(old, offset, next, target, length);
    next.commit(length, isEvent && options.isRedelivery ? tag | (REDELIVERED << 8) : tag, id, aux);
  }
  next.publish();
  return fault === undefined ? { events } : { events, fault };
}

interface OldRecord {
  offset: number;
  length: number;
  tag: number;
  id: number;
  aux: number;
}

/** Reads each header once. Stops at the first that cannot be this side's own. */
function readRecords({ words, capacity }: RingMemory, from: number, to: number, records: OldRecord[]): ProtocolError | undefined {
  for (let position = from; position !== to; ) {
    const index = (position & (capacity - 1)) >>> 0;
    const word = index >> 2;
    const length = Atomics.load(words, word);
    const tag = Atomics.load(words, word + 1);
    const id = Atomics.load(words, word + 2);
    const aux = Atomics.load(words, word + 3);
    try {
      checkTag(tag, 'client');
      if (length < 0 || length > maxPayloadBytes(capacity) || alignedLength(length) > (to - position) >>> 0) {
        throw new ProtocolError(`a record that waits to be sent again claims ${length >>> 0} bytes`);
      }
    } catch (error) {
      return error as ProtocolError;
    }
    records.push({ offset: index + RECORD_HEADER_BYTES, length, tag, id, aux });
    position = (position + alignedLength(length)) | 0;
  }
  return undefined;
}
