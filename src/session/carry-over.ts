import { EVENT, kindOf, targetOf } from '../protocol/frame.js';
import type { NameEntry } from '../protocol/names.js';
import type { Claims, ClaimTarget } from './claims.js';
import type { ClientMemory } from './client-memory.js';
import type { FrameWriter } from './frame-writer.js';
import { type PendingCall, type PendingCalls, timeLeftField } from './pending-calls.js';
import { replay } from './replay.js';

export interface CarryOverOptions {
  names: readonly NameEntry[];
  pending: PendingCalls;
  writer: FrameWriter;
  claims: Claims<ClaimTarget>;
  /** The last server may have taken messages beyond its head. */
  mayHaveRead: boolean;
  /** The call was taken by the last server, or nobody knows, and it may not be carried out twice. */
  onLost(call: PendingCall): void;
}

/**
 * Moves what the last server had not released to memory that it does not have, and decides for each call in flight whether it is sent again. Returns how many
 * events went over. The old memory is done then.
 */
export function carryOver(old: ClientMemory, next: ClientMemory, options: CarryOverOptions): number {
  const { names, pending, writer, mayHaveRead } = options;
  // Calls whose records are not all in the ring start anew from the queue.
  const inQueue = new Set(writer.queued.map((message) => message.correlationId));
  const inRing = new Set<number>();
  const { events } = replay(old.outbound, old.producer.cachedHead, old.producer.producerPosition | 0, next.producer, {
    isRedelivery: mayHaveRead,
    arenas: old.arena !== null && next.arena !== null ? { old: old.arena, next: next.arena } : null,
    isOwnTarget: (tag) => names[targetOf(tag)]?.kind === (kindOf(tag) === EVENT ? 'event' : 'method'),
    keepCall: (signedId, records) => {
      const id = signedId >>> 0;
      const call = pending.get(id);
      if (mayHaveRead || call === undefined || inQueue.has(id)) return false;
      if (records === 0) return true;
      // Fewer: the old server had taken the first fragments.
      if (call.recordCount !== records) return false;
      inRing.add(id);
      return true;
    },
  });
  writer.useRing(next.producer);
  for (const call of [...pending.values()]) {
    if (inQueue.has(call.id) || inRing.has(call.id)) continue;
    if (call.payload === null) options.onLost(call);
    else writer.queueMessage(call.tag, call.id, timeLeftField(call.deadline - performance.now()), call.payload);
  }
  old.segment?.closeRings();
  if (old.arena !== null) options.claims.retire(old.arena);
  return events;
}
