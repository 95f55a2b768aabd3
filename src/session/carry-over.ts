import { CALL, END, EVENT, kindOf, targetOf } from '../protocol/frame.js';
import type { NameEntry } from '../protocol/names.js';
import type { Claims, ClaimTarget } from './claims.js';
import type { ClientMemory } from './client-memory.js';
import type { FrameWriter } from './frame-writer.js';
import { type PendingCall, type PendingCalls, timeLeftField } from './pending-calls.js';
import { replay } from './replay.js';

export interface CarryOverOptions {
  names: readonly NameEntry[];
  pending: PendingCalls;
  streams: { isUntaken(id: number, records: number): boolean };
  writer: FrameWriter;
  claims: Claims<ClaimTarget>;
  /** The last server may have taken messages beyond its head. */
  mayHaveRead: boolean;
  /** The call was taken by the last server, or nobody knows, and it may not be carried out twice. */
  onLost(call: PendingCall): void;
}

/**
 * Moves what the last server had not released to memory that it does not have, and decides for each call in flight whether it is sent again. Returns how many
 * events went over, and which calls and streams go on. The old memory is done then.
 */
export function carryOver(
  old: ClientMemory,
  next: ClientMemory,
  options: CarryOverOptions,
): { events: number; isKept(id: number): boolean } {
  const { names, pending, streams, writer, mayHaveRead } = options;
  // Calls whose records are not all in the ring start anew from the queue.
  const inQueue = new Set(writer.queued.filter(({ tag }) => kindOf(tag) === CALL).map((message) => message.correlationId));
  const inRing = new Set<number>();
  const { events } = replay(old.outbound, old.producer.cachedHead, old.producer.producerPosition | 0, next.producer, {
    isRedelivery: mayHaveRead,
    arenas: old.arena !== null && next.arena !== null ? { old: old.arena, next: next.arena } : null,
    isOwnTarget: (tag) => isSentAs(names[targetOf(tag)]?.kind, kindOf(tag)),
    keepCall: (signedId, records) => {
      const id = signedId >>> 0;
      const call = pending.get(id);
      if (mayHaveRead || inQueue.has(id)) return false;
      if (call === undefined) {
        if (!streams.isUntaken(id, records)) return false;
        inRing.add(id);
        return true;
      }
      if (records === 0) return true;
      // Fewer: the old server had taken the first fragments.
      if (call.recordCount !== records) return false;
      inRing.add(id);
      return true;
    },
    keepEnd: (signedId) => inRing.has(signedId >>> 0),
  });
  const isKept = (id: number): boolean => inQueue.has(id) || inRing.has(id);
  writer.keepOnly(({ tag, correlationId }) => kindOf(tag) !== END || isKept(correlationId));
  writer.useRing(next.producer);
  for (const call of [...pending.values()]) {
    if (isKept(call.id)) continue;
    if (call.payload === null) options.onLost(call);
    else writer.queueMessage(call.tag, call.id, timeLeftField(call.deadline - performance.now()), call.payload);
  }
  old.segment?.closeRings();
  if (old.arena !== null) options.claims.retire(old.arena);
  return { events, isKept };
}

const calledKinds = new Set(['method', 'stream', 'upload', 'duplex']);

/** Is a name of this kind sent in frames of that one? */
function isSentAs(kind: string | undefined, frameKind: number): boolean {
  return frameKind === EVENT ? kind === 'event' : calledKinds.has(kind ?? '');
}
