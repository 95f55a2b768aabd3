import type { NativeSegment } from '../native.js';
import { LOAN_PAYLOAD_BYTES, type Place } from '../protocol/loan.js';
import { ArenaAllocator } from '../ring/arena.js';
import type { RingProducer } from '../ring/producer.js';

/** A block that the server has been told of and has not released. What it says is private, so it stays true whatever becomes of the ring. */
export interface Loan extends Place {
  /** Kind, flags and target of its record. */
  readonly tag: number;
  readonly sequence: number;
  /** Where its record begins in the ring. */
  readonly position: number;
  /** What the server has consumed in all when it has released the record. */
  readonly end: number;
}

/**
 * The arena that belongs to one ring of a client, shared or private as the ring is. Its blocks are open claims, and loans until the server's head has passed
 * their records. It outlives its ring while claims are open in it.
 */
export class Arena {
  readonly bytes: Uint8Array;
  private readonly blocks: ArenaAllocator;
  private readonly segment: NativeSegment | null;
  private lent: Loan[] = [];
  private openClaims = 0;
  private isRetired = false;

  constructor(bytes: Uint8Array, segment: NativeSegment | null) {
    this.bytes = bytes;
    this.blocks = new ArenaAllocator(bytes.length);
    this.segment = segment;
  }

  get usedBytes(): number {
    return this.blocks.usedBytes;
  }

  /** In the order of their records. */
  get loans(): readonly Loan[] {
    return this.lent;
  }

  /** A block for a claim: its offset, or -1 if there is no room. */
  open(length: number): number {
    const offset = this.blocks.allocate(length);
    if (offset >= 0) this.openClaims++;
    return offset;
  }

  /** The claim is over. Its block is free again, unless it is on loan now. */
  close(offset: number, isLent: boolean): void {
    if (!isLent) this.blocks.release(offset);
    this.openClaims--;
    this.dropIfUnused();
  }

  /** A block that will be lent at once, without a claim. */
  take(length: number): number {
    return this.blocks.allocate(length);
  }

  giveBack(offset: number): void {
    this.blocks.release(offset);
  }

  /** Writes the record that lends a block, unpublished. False if the ring has no space. */
  lend({ offset, length }: Place, producer: RingProducer, tag: number, sequence: number): boolean {
    const position = producer.producerPosition | 0;
    const payload = producer.tryClaim(LOAN_PAYLOAD_BYTES);
    if (payload < 0) return false;
    producer.words[payload >> 2] = offset;
    producer.words[(payload >> 2) + 1] = length;
    producer.commit(LOAN_PAYLOAD_BYTES, tag, sequence, 0);
    this.lent.push({ offset, length, tag, sequence, position, end: producer.consumedBytes + producer.usedBytes });
    return true;
  }

  /** Frees the blocks whose records the server has released. */
  reclaim(consumedBytes: number): void {
    let done = 0;
    while (done < this.lent.length && (this.lent[done] as Loan).end <= consumedBytes)
      this.blocks.release((this.lent[done++] as Loan).offset);
    if (done > 0) this.lent.splice(0, done);
  }

  /** The ring is done. What it had lent counts no more; open claims may still be filled. */
  retire(): void {
    this.lent = [];
    this.isRetired = true;
    this.dropIfUnused();
  }

  get isInUse(): boolean {
    return this.openClaims > 0;
  }

  private dropIfUnused(): void {
    if (this.isRetired && this.openClaims === 0) this.destroy();
  }

  /** Views of open claims have length 0 then. */
  destroy(): void {
    this.segment?.close();
  }
}
