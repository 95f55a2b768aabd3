import { ProtocolError } from '../errors.js';
import { CALL, CANCEL, checkTag, END, EVENT, flagsOf, kindOf, MORE, REDELIVERED, targetOf } from '../protocol/frame.js';
import { isLoan, LOAN_PAYLOAD_BYTES } from '../protocol/loan.js';
import { copyBytes } from '../ring/copy.js';
import { alignedLength, maxPayloadBytes, RECORD_HEADER_BYTES } from '../ring/layout.js';
import type { RingMemory } from '../ring/memory.js';
import type { RingProducer } from '../ring/producer.js';
import type { Arena, Loan } from './arena.js';

export interface ReplayOptions {
  /** Mark events: the last server may have handled them. */
  isRedelivery: boolean;
  /** Is the target of this EVENT or CALL in this client's name table, as what it is used for? */
  isOwnTarget(tag: number): boolean;
  /** Is this call to be sent again? `records` of its records lie in the old ring; 0 asks for its CANCEL. */
  keepCall(id: number, records: number): boolean;
  /** Was this call kept? Then the END of its items, said before there was anything to send, is too. */
  keepEnd(id: number): boolean;
  /** Where what was lent lies, and where it goes. */
  arenas?: { readonly old: Arena; readonly next: Arena } | null;
}

export interface ReplayResult {
  events: number;
  /** Set if a record was not what this side had written: what came after it is lost. */
  fault?: ProtocolError;
}

/**
 * Copies what a peer had not released into the next ring, in order. The old ring was shared, so its bytes are the peer's claims by now: a message that this
 * client cannot have written is left out, or it would cost every further connection. Positions are no claims: `from` is the head as last checked, `to` this side's own. Nor is what was
 * lent: the arena has a list of its own.
 */
export function replay(old: RingMemory, from: number, to: number, next: RingProducer, options: ReplayOptions): ReplayResult {
  const { arenas = null } = options;
  const { records, fault } = readRecords(old, from, to, arenas?.old.loans ?? []);
  const kept = completeMessages(records, options);
  let events = 0;
  for (const { offset, length, tag, id, aux, loan } of records.filter((record) => kept.has(record))) {
    const isEvent = kindOf(tag) === EVENT;
    const nextTag = isEvent && options.isRedelivery ? tag | (REDELIVERED << 8) : tag;
    // The last fragment stands for its event.
    if (isEvent && (flagsOf(tag) & MORE) === 0) events++;
    if (loan !== undefined && arenas !== null) {
      moveLoan(loan, arenas.old, arenas.next, next, nextTag);
      continue;
    }
    const target = next.tryClaim(length);
    copyBytes(old, offset, next, target, length);
    next.commit(length, nextTag, id, aux);
  }
  next.publish();
  return fault === undefined ? { events } : { events, fault };
}

/** The next arena is as large as the old one and has nothing but loans yet, so there is room. */
function moveLoan({ offset, length, sequence }: Loan, old: Arena, next: Arena, producer: RingProducer, tag: number): void {
  const place = { offset: next.take(length), length };
  next.bytes.set(old.bytes.subarray(offset, offset + length), place.offset);
  next.lend(place, producer, tag, sequence);
}

interface OldRecord {
  offset: number;
  length: number;
  tag: number;
  id: number;
  aux: number;
  loan?: Loan;
}

/** Reads each header once. Stops at the first whose length cannot be: nothing behind it can be found but loans, which are known without it. */
function readRecords(
  { words, capacity }: RingMemory,
  from: number,
  to: number,
  loans: readonly Loan[],
): { records: OldRecord[]; fault?: ProtocolError } {
  const records: OldRecord[] = [];
  const unread = loans.filter(({ position }) => (position - from) >>> 0 < (to - from) >>> 0).map(loanRecord);
  for (let position = from; position !== to; ) {
    if (unread[0]?.loan.position === position) {
      records.push(unread.shift() as OldRecord);
      position = (position + alignedLength(LOAN_PAYLOAD_BYTES)) | 0;
      continue;
    }
    const index = (position & (capacity - 1)) >>> 0;
    const word = index >> 2;
    const length = words[word] as number;
    const limit = unread[0]?.loan.position ?? to;
    if (length < 0 || length > maxPayloadBytes(capacity) || alignedLength(length) > (limit - position) >>> 0) {
      return {
        records: [...records, ...unread],
        fault: new ProtocolError(`a record that waits to be sent again claims ${length >>> 0} bytes`),
      };
    }
    const [tag, id, aux] = [words[word + 1], words[word + 2], words[word + 3]] as [number, number, number];
    records.push({ offset: index + RECORD_HEADER_BYTES, length, tag, id, aux });
    position = (position + alignedLength(length)) | 0;
  }
  return { records };
}

function loanRecord(loan: Loan): OldRecord & { loan: Loan } {
  return { offset: 0, length: LOAN_PAYLOAD_BYTES, tag: loan.tag, id: loan.sequence, aux: 0, loan };
}

/**
 * The records of whole messages that are to be sent again. A client has at most one event and one call unfinished at a time, so fragments of a message
 * follow each other, but for the other kind in between.
 */
function completeMessages(records: OldRecord[], { isOwnTarget, keepCall, keepEnd }: ReplayOptions): Set<OldRecord> {
  const unfinished = new Map<number, OldRecord[]>();
  const kept = new Set<OldRecord>();
  for (const record of records) {
    const { tag, id, length } = record;
    const kind = kindOf(tag);
    if (record.loan !== undefined) kept.add(record);
    // A loan that the private list knows nothing of was not this client's.
    if (isLoan(tag)) continue;
    const isControl = kind === CANCEL || kind === END;
    if (!isOwn(tag) || (isControl ? length !== 0 : !isOwnTarget(tag))) continue;
    if (isControl) {
      if (kind === CANCEL ? keepCall(id, 0) : keepEnd(id)) kept.add(record);
      continue;
    }
    const begun = unfinished.get(kind) ?? [];
    const parts = continues(begun, record) ? [...begun, record] : [record];
    unfinished.delete(kind);
    const hasMore = (flagsOf(tag) & MORE) !== 0;
    if ((hasMore || parts.length > 1) && length === 0) continue;
    if (hasMore) unfinished.set(kind, parts);
    else if (kind === EVENT || keepCall(id, parts.length)) for (const part of parts) kept.add(part);
  }
  return kept;
}

function continues(begun: OldRecord[], { tag, id, aux }: OldRecord): boolean {
  const first = begun[0];
  if (first === undefined || first.id !== id || targetOf(first.tag) !== targetOf(tag)) return false;
  return aux >>> 0 === begun.reduce((length, part) => length + part.length, 0);
}

function isOwn(tag: number): boolean {
  try {
    checkTag(tag, 'client');
    return [EVENT, CALL, CANCEL, END].includes(kindOf(tag));
  } catch {
    return false;
  }
}
