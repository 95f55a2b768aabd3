import { ProtocolError } from '../errors.js';
import type { Block } from './copy.js';
import { alignedLength, maxPayloadBytes, RECORD_ALIGNMENT, RECORD_HEADER_BYTES } from './layout.js';
import { HEAD, PARKED, type RingMemory, STARVED, TAIL } from './memory.js';

/**
 * The reading end of a ring: `next` steps to a record, whose header then stands in the fields; `release` gives space back; `publishHead` tells the producer.
 *
 * Reading and releasing are two positions, because an event keeps its place until its handler is done. Both are private. `tail` and every header
 * word are claims of the peer: loaded once, checked, and used from the copy.
 */
export class RingConsumer implements Block {
  readonly capacity: number;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** The current record, valid after `next` returned true. `tag` is kind, flags and target as one word. */
  payloadLength = 0;
  tag = 0;
  correlationId = 0;
  aux = 0;
  /** Offset of the payload in `bytes` and `words`. */
  payloadOffset = 0;

  private readonly control: Int32Array;
  private readonly mask: number;
  readonly maxPayload: number;
  private position: number;
  private released: number;
  private publishedHead: number;
  private tail: number;
  private isSealed = false;

  /** Starts at the ring's `head`, whatever it is: nothing was read yet. */
  constructor(memory: RingMemory) {
    this.capacity = memory.capacity;
    this.bytes = memory.bytes;
    this.words = memory.words;
    this.control = memory.control;
    this.mask = memory.capacity - 1;
    this.maxPayload = maxPayloadBytes(memory.capacity);
    this.position = Atomics.load(memory.control, HEAD);
    if ((this.position & (RECORD_ALIGNMENT - 1)) !== 0) {
      throw new ProtocolError(`a ring starts with head=${this.position >>> 0}, which is not a multiple of ${RECORD_ALIGNMENT}`);
    }
    this.released = this.position;
    this.publishedHead = this.position;
    this.tail = this.position;
  }

  /** Everything before this position has been read. Signed; compare by difference only. */
  get readPosition(): number {
    return this.position;
  }

  /** Everything before this position may be overwritten once `publishHead` was called. */
  get releasedPosition(): number {
    return this.released;
  }

  /** Bytes read but not released. */
  get heldBytes(): number {
    return (this.position - this.released) >>> 0;
  }

  /** Is there a record to read? Loads and checks `tail` when the known records are used up. */
  hasNext(): boolean {
    return this.position !== this.tail || (!this.isSealed && this.refreshTail());
  }

  /** The producer is gone: looks at `tail` once more and never again, because somebody may have inherited the memory and write for ever. */
  seal(): void {
    if (this.isSealed) return;
    this.refreshTail();
    this.isSealed = true;
  }

  private refreshTail(): boolean {
    const tail = Atomics.load(this.control, TAIL);
    if (tail === this.tail) return false;
    if ((tail - this.position) >>> 0 > this.capacity - this.heldBytes || (tail & (RECORD_ALIGNMENT - 1)) !== 0) {
      throw new ProtocolError(
        `the producer moved its position from ${this.tail >>> 0} to ${tail >>> 0}, capacity=${this.capacity}, held=${this.heldBytes}`,
      );
    }
    this.tail = tail;
    return true;
  }

  /** Steps to the next record and checks its length. False if there is none. */
  next(): boolean {
    if (!this.hasNext()) return false;
    const index = this.position & this.mask;
    const word = index >> 2;
    const words = this.words;
    // Each word is loaded once; what is checked is what is used.
    const payloadLength = words[word] as number;
    const length = alignedLength(payloadLength);
    if (payloadLength < 0 || payloadLength > this.maxPayload || length > (this.tail - this.position) >>> 0) {
      throw new ProtocolError(
        `a record claims ${payloadLength >>> 0} bytes at position ${this.position >>> 0}; published are ${(this.tail - this.position) >>> 0}, allowed ${this.maxPayload}`,
      );
    }
    this.payloadLength = payloadLength;
    this.tag = words[word + 1] as number;
    this.correlationId = words[word + 2] as number;
    this.aux = words[word + 3] as number;
    this.payloadOffset = index + RECORD_HEADER_BYTES;
    this.position = (this.position + length) | 0;
    return true;
  }

  /** Does the next record look like this? A hint only: `next` reads and checks the words again. */
  peekIs(tag: number, correlationId: number): boolean {
    if (!this.hasNext()) return false;
    const word = (this.position & this.mask) >> 2;
    return this.words[word + 1] === tag && this.words[word + 2] === (correlationId | 0);
  }

  /** Gives up everything before `position`, which must lie between the released and the read position. */
  release(position: number): void {
    this.released = position;
  }

  /** Tells the producer what was released. True if it waits for space and must be woken. */
  publishHead(): boolean {
    if (this.publishedHead === this.released) return false;
    this.publishedHead = this.released;
    // seq_cst, and before `starved` is read; the producer stores `starved`, then loads `head`. One of the two sees the other.
    Atomics.store(this.control, HEAD, this.released);
    return Atomics.load(this.control, STARVED) !== 0 && Atomics.exchange(this.control, STARVED, 0) !== 0;
  }

  /** Bytes released but not yet told to the producer. */
  get unpublishedBytes(): number {
    return (this.released - this.publishedHead) >>> 0;
  }

  /** Has this side announced that it sleeps or dozes? */
  get isParked(): boolean {
    return Atomics.load(this.control, PARKED) !== 0;
  }
}
