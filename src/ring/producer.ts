import { ProtocolError } from '../errors.js';
import type { Block } from './copy.js';
import { ASLEEP, AWAKE, alignedLength, maxPayloadBytes, RECORD_ALIGNMENT, RECORD_HEADER_BYTES } from './layout.js';
import { HEAD, PARKED, type RingMemory, TAIL } from './memory.js';

/**
 * The writing end of a ring: claim, write the payload, commit, publish. Single producer, wait-free; "full" is a value.
 *
 * Own position: private. The consumer's `head` is a claim, checked whenever it is loaded. The cached head is the idea of
 * Folly's and rigtorp's SPSC queues: the other side's cache line is touched only when the ring looks full.
 */
export class RingProducer implements Block {
  readonly capacity: number;
  readonly maxPayload: number;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  private readonly control: Int32Array;
  private readonly mask: number;
  private tail: number;
  private published: number;
  private head: number;
  /** What the consumer has released since this object was made. Never wraps, so it can be compared after any time. */
  consumedBytes = 0;

  /** Starts where the ring's words say: a fresh ring starts at 0. The caller must be the ring's creator, or trust it. */
  constructor(memory: RingMemory) {
    this.capacity = memory.capacity;
    this.maxPayload = maxPayloadBytes(memory.capacity);
    this.bytes = memory.bytes;
    this.words = memory.words;
    this.control = memory.control;
    this.mask = memory.capacity - 1;
    this.tail = Atomics.load(memory.control, TAIL);
    this.published = this.tail;
    this.head = Atomics.load(memory.control, HEAD);
    if ((this.tail - this.head) >>> 0 > this.capacity || ((this.tail | this.head) & (RECORD_ALIGNMENT - 1)) !== 0) {
      throw new ProtocolError(`a ring starts with tail=${this.tail >>> 0}, head=${this.head >>> 0}`);
    }
  }

  /** Next byte to be written, as an unsigned 32-bit position. */
  get producerPosition(): number {
    return this.tail >>> 0;
  }

  /** The consumer position as last seen; `refreshHead` looks again. */
  get cachedHead(): number {
    return this.head;
  }

  /** Bytes between the consumer position last seen and the producer position. */
  get usedBytes(): number {
    return (this.tail - this.head) >>> 0;
  }

  /** Reads and checks the consumer position. True if it moved. Throws ProtocolError if it cannot be true. */
  refreshHead(): boolean {
    const head = Atomics.load(this.control, HEAD);
    if (head === this.head) return false;
    const moved = (head - this.head) >>> 0;
    // Only what was published can have been consumed.
    if (moved > (this.published - this.head) >>> 0 || (head & (RECORD_ALIGNMENT - 1)) !== 0) {
      throw new ProtocolError(`the consumer moved its position from ${this.head >>> 0} to ${head >>> 0}, tail=${this.published >>> 0}`);
    }
    this.head = head;
    this.consumedBytes += moved;
    return true;
  }

  /** Are `bytes` bytes of records free? */
  hasSpace(bytes: number): boolean {
    if (this.capacity - ((this.tail - this.head) >>> 0) >= bytes) return true;
    return this.refreshHead() && this.capacity - ((this.tail - this.head) >>> 0) >= bytes;
  }

  /** Offset at which the payload may be written, or -1 if the ring is too full. Nothing happens until `commit`; to abort, just don't. */
  tryClaim(payloadLength: number): number {
    if (!this.hasSpace(alignedLength(payloadLength))) return -1;
    return (this.tail & this.mask) + RECORD_HEADER_BYTES;
  }

  /**
   * Completes the claimed record, not yet visible to the consumer. `tag` is kind, flags and target as one word
   * (see protocol/frame.ts); the caller has written `payloadLength` bytes at the claimed offset.
   */
  commit(payloadLength: number, tag: number, correlationId: number, aux: number): void {
    const index = this.tail & this.mask;
    const length = alignedLength(payloadLength);
    const payloadEnd = index + RECORD_HEADER_BYTES + payloadLength;
    for (let at = payloadEnd; at < index + length; at++) this.bytes[at] = 0;
    const words = this.words;
    const word = index >> 2;
    words[word] = payloadLength;
    words[word + 1] = tag;
    words[word + 2] = correlationId;
    words[word + 3] = aux;
    this.tail = (this.tail + length) | 0;
  }

  /** Makes all committed records visible. */
  publish(): void {
    this.published = this.tail;
    // seq_cst, and before `parked` is read: see takeBell.
    Atomics.store(this.control, TAIL, this.tail);
  }

  /**
   * After `publish`: must the consumer be woken? An event lets a dozing consumer doze. Swaps `parked` to awake, so that of many callers
   * (this one again, or the consumer itself) one rings. The store of `tail` above comes first in the total order, or
   * both sides could sleep.
   */
  takeBell(forEvent: boolean): boolean {
    const parked = Atomics.load(this.control, PARKED);
    if (parked === AWAKE || (forEvent && parked !== ASLEEP)) return false;
    return Atomics.exchange(this.control, PARKED, AWAKE) !== AWAKE;
  }

  /** Has the consumer announced that it sleeps or dozes? */
  get isConsumerParked(): boolean {
    return Atomics.load(this.control, PARKED) !== AWAKE;
  }
}
