import type { Channel } from '../channel/channel.js';
import { PillionError } from '../errors.js';
import type { Encoded } from '../protocol/codec.js';
import { kindOf, MORE } from '../protocol/frame.js';
import { type Block, copyBytes, privateCopy } from '../ring/copy.js';
import { alignedLength } from '../ring/layout.js';
import type { RingProducer } from '../ring/producer.js';

/** A message that waits for space, or whose fragments do. */
export interface QueuedMessage extends Block {
  readonly tag: number;
  readonly correlationId: number;
  readonly aux: number;
  readonly bytes: Uint8Array;
  /** A Block: whatever its alignment, it is copied as bytes. */
  readonly words: null;
  /** How much is in the ring already. */
  offset: number;
  isWritten: boolean;
  /** Told when all of it is in the ring; not if it is taken back. */
  onWritten: (() => void) | null;
}

/** How long a pump may go on before the event loop gets a turn. */
const MAX_PUMP_MS = 0.25;
/** Messages whose fragments interleave. Receivers hold no more than so many of full length. */
const INTERLEAVED = 2;
/** What fragments leave free in the ring, so that control frames and small messages need not wait for the reader. */
const RESERVED_BYTES = 4096;

/** Empty payload, for frames that need none. */
export const NOTHING: Encoded = { bytes: new Uint8Array(0), words: null, start: 0, end: 0, isStable: true };

/** Bytes as a payload that nobody will change. */
export function stable(bytes: Uint8Array): Encoded {
  return { bytes, words: null, start: 0, end: bytes.length, isStable: true };
}

/**
 * Puts messages into the outbound ring: as one record, as fragments, or, when there is no space, later. Three lanes wait for space: control frames come first,
 * then messages of one record in their order, then fragments, one at a time, so that nothing small waits for anything large.
 *
 * The queue holds calls, replies and items; events are accepted at once or not at all, because an accepted event must be where a crash of this process
 * cannot take it along.
 */
export class FrameWriter {
  /** Ring bytes that the queue will take: headers count, or messages without payload would be free. */
  queuedBytes = 0;
  private producer: RingProducer;
  private channel: Channel | null = null;
  private control: QueuedMessage[] = [];
  private small: QueuedMessage[] = [];
  private large: QueuedMessage[] = [];
  private waiters: (() => void)[] = [];
  private isPumping = false;
  private batchDepth = 0;
  private isBatchUrgent = false;
  private readonly onQueue: (isBlocked: boolean) => void;

  /** `onQueue` is told whether anything waits for space whenever that may have changed. */
  constructor(producer: RingProducer, onQueue: (isBlocked: boolean) => void) {
    this.producer = producer;
    this.onQueue = onQueue;
  }

  /** From now on write to this ring. Fragments written to the old one count for nothing. */
  useRing(producer: RingProducer): void {
    this.producer = producer;
    for (const message of this.large) message.offset = 0;
  }

  /** From now on wake this channel's peer; null while there is none. */
  useChannel(channel: Channel | null): void {
    this.channel = channel;
    if (channel !== null) this.pump();
  }

  /** Does a message wait for space? */
  get hasQueue(): boolean {
    return this.small.length > 0 || this.large.length > 0 || this.control.length > 0;
  }

  /** Does anything wait for space? */
  get wantsSpace(): boolean {
    return this.hasQueue || this.waiters.length > 0;
  }

  /** Does a message of one record, or a control frame, wait for space? Then the peer does not read fast enough; of large messages that says nothing. */
  get hasSmallQueue(): boolean {
    return this.small.length > 0 || this.control.length > 0;
  }

  /** Messages whose fragments are being written, or wait for it. */
  get largeCount(): number {
    return this.large.length;
  }

  /** The longest payload that is one record. */
  get maxRecordPayload(): number {
    return this.producer.maxPayload;
  }

  /** Messages that are not completely in the ring. */
  get queued(): readonly QueuedMessage[] {
    return [...this.control, ...this.small, ...this.large];
  }

  get queuedCount(): number {
    return this.control.length + this.small.length + this.large.length;
  }

  /** Until `endBatch`, records are written but not published, so that one store and one look at the peer serve all. May be nested. */
  beginBatch(): void {
    this.batchDepth++;
  }

  /** True: this was the outermost one, and something is in it that the peer must be woken for. */
  endBatch(): boolean {
    if (--this.batchDepth > 0) return false;
    this.producer.publish();
    const { isBatchUrgent } = this;
    this.isBatchUrgent = false;
    return isBatchUrgent;
  }

  get isBatching(): boolean {
    return this.batchDepth > 0;
  }

  /** A frame other than an event was written. */
  private announce(): void {
    if (this.batchDepth === 0) this.channel?.announce();
    else this.isBatchUrgent = true;
  }

  private publish(): void {
    if (this.batchDepth === 0) this.producer.publish();
  }

  /** One record, now or not at all. The caller announces it. */
  tryWrite(tag: number, correlationId: number, aux: number, payload: Encoded): boolean {
    const { producer } = this;
    const length = payload.end - payload.start;
    let offset = producer.tryClaim(length);
    if (offset < 0) {
      if (this.batchDepth === 0) return false;
      // The reader can only make room of what it sees.
      producer.publish();
      offset = producer.tryClaim(length);
      if (offset < 0) return false;
    }
    copyBytes(payload, payload.start, producer, offset, length);
    producer.commit(length, tag, correlationId, aux);
    this.publish();
    return true;
  }

  /** A whole event, of however many fragments, under one store of the producer position; false if it does not fit now. */
  tryWriteEvent(tag: number, sequence: number, payload: Encoded): boolean {
    const { producer } = this;
    const length = payload.end - payload.start;
    if (length <= producer.maxPayload) return this.tryWrite(tag, sequence, 0, payload);
    this.checkEventLength(length);
    const recordBytes = recordBytesOf(length, producer.maxPayload);
    if (this.batchDepth > 0 && !producer.hasSpace(recordBytes)) producer.publish();
    if (!producer.hasSpace(recordBytes)) return false;
    let offset = 0;
    while (offset < length) offset += this.commitFragment(tag, sequence, 0, payload, payload.start, offset, length);
    this.publish();
    return true;
  }

  /** Throws if an event of so many bytes can never be written. */
  checkEventLength(length: number): void {
    const { producer } = this;
    if (recordBytesOf(length, producer.maxPayload) <= producer.capacity) return;
    throw new PillionError(
      'ERR_PILLION_TOO_LARGE',
      `an event of ${length} bytes does not fit a ring of ${producer.capacity} bytes, where it must stay until it is handled: raise ringBytes.toServer, or use a method`,
    );
  }

  /**
   * A message of any size, now or as soon as there is space. A payload that has to wait is copied unless it is stable. True: all of it is in the ring. False: `onWritten`
   * will tell.
   */
  write(tag: number, correlationId: number, aux: number, payload: Encoded, onWritten: (() => void) | null = null): boolean {
    const length = payload.end - payload.start;
    // A message of one record must not overtake another one. Large messages are overtaken on purpose.
    if (!this.hasSmallQueue && length <= this.producer.maxPayload && this.tryWrite(tag, correlationId, aux, payload)) {
      this.announce();
      return true;
    }
    const { bytes, start, end, isStable } = payload;
    const isWritten = this.queueMessage(
      tag,
      correlationId,
      aux,
      isStable ? bytes.subarray(start, end) : privateCopy(bytes, start, end),
      onWritten,
    );
    // The codec keeps the object: without this the last large message would live until the next one is sent.
    if (length > this.producer.maxPayload) payload.bytes = NOTHING.bytes;
    return isWritten;
  }

  /** The same for bytes that nobody else will change. */
  queueMessage(tag: number, correlationId: number, aux: number, bytes: Uint8Array, onWritten: (() => void) | null = null): boolean {
    const message: QueuedMessage = { tag, correlationId, aux, bytes, words: null, offset: 0, isWritten: false, onWritten: null };
    const lane = bytes.length <= this.producer.maxPayload ? this.small : this.large;
    lane.push(message);
    this.queuedBytes += alignedLength(bytes.length);
    try {
      this.pump();
    } catch (error) {
      // Whoever hears of the error may send it again.
      if (!message.isWritten) this.takeBack(lane, message);
      throw error;
    }
    // Only what happens later is reported.
    if (!message.isWritten) message.onWritten = onWritten;
    return message.isWritten;
  }

  /** A frame that keeps the conversation going: before everything that waits. */
  writeControl(tag: number, correlationId: number, aux: number, payload: Encoded = NOTHING): void {
    if (this.control.length === 0 && this.tryWrite(tag, correlationId, aux, payload)) {
      this.announce();
      return;
    }
    const bytes = privateCopy(payload.bytes, payload.start, payload.end);
    this.control.push({ tag, correlationId, aux, bytes, words: null, offset: 0, isWritten: false, onWritten: null });
    this.queuedBytes += alignedLength(bytes.length);
    this.pump();
  }

  /** Calls back, once, when there may be space and nothing small waits for it. */
  whenFree(callback: () => void): void {
    this.waiters.push(callback);
    this.onQueue(true);
  }

  private takeBack(lane: QueuedMessage[], message: QueuedMessage): void {
    const index = lane.indexOf(message);
    if (index < 0) return;
    lane.splice(index, 1);
    this.queuedBytes -= alignedLength(message.bytes.length);
  }

  /** Takes a message back that has not been begun. False: at least a part of it is in the ring. */
  remove(kind: number, correlationId: number): boolean {
    for (const lane of [this.small, this.large]) {
      const index = lane.findIndex((message) => message.correlationId === correlationId && kindOf(message.tag) === kind);
      if (index < 0) continue;
      const [message] = lane.splice(index, 1) as [QueuedMessage];
      this.queuedBytes -= alignedLength(message.bytes.length);
      this.onQueue(this.wantsSpace);
      return message.offset === 0;
    }
    return false;
  }

  /** Forgets what waits and does not pass. */
  keepOnly(filter: (message: QueuedMessage) => boolean): void {
    const keep = (message: QueuedMessage): boolean => {
      const isKept = filter(message);
      if (!isKept) this.queuedBytes -= alignedLength(message.bytes.length);
      return isKept;
    };
    this.control = this.control.filter(keep);
    this.small = this.small.filter(keep);
    this.large = this.large.filter(keep);
  }

  /** Writes what fits. Called when there is space, and after anything was queued. */
  pump(): void {
    if (this.isPumping || !this.wantsSpace) return;
    this.isPumping = true;
    try {
      this.pumpLanes();
      if (!this.hasSmallQueue && this.waiters.length > 0) {
        const waiters = this.waiters;
        this.waiters = [];
        for (const waiter of waiters) waiter();
        // What they wrote in fragments is in the queue; nobody else would begin it.
        this.pumpLanes();
      }
    } finally {
      this.isPumping = false;
    }
    this.onQueue(this.wantsSpace);
  }

  private pumpLanes(): void {
    const { producer } = this;
    let deadline = 0;
    for (;;) {
      if (!this.pumpLane(this.control) || !this.pumpLane(this.small)) return;
      const message = this.large[0];
      if (message === undefined) return;
      const { bytes } = message;
      const needed =
        alignedLength(Math.min(bytes.length - message.offset, producer.maxPayload)) + Math.min(RESERVED_BYTES, producer.capacity / 8);
      // While the peer copies fragments out, waiting here is cheaper than a turn of the event loop for each; within bounds.
      while (!producer.hasSpace(needed)) {
        const now = performance.now();
        deadline ||= now + MAX_PUMP_MS;
        if (now > deadline || !this.channel?.spinForSpace()) return;
      }
      const { tag, correlationId, aux, offset } = message;
      message.offset += this.commitFragment(tag, correlationId, aux, message, 0, offset, bytes.length);
      // Each fragment at once, so that the other side copies it out while this one copies the next one in.
      producer.publish();
      this.channel?.announce();
      if (message.offset === bytes.length) {
        this.large.shift();
        this.finish(message);
      } else if (this.large.length > 1) {
        this.large.shift();
        this.large.splice(INTERLEAVED - 1, 0, message);
      }
    }
  }

  /** True: the lane is empty. */
  private pumpLane(lane: QueuedMessage[]): boolean {
    let done = 0;
    for (; done < lane.length; done++) {
      const message = lane[done] as QueuedMessage;
      const { tag, correlationId, aux, bytes } = message;
      if (!this.tryWrite(tag, correlationId, aux, stable(bytes))) break;
      message.offset = bytes.length;
    }
    if (done === 0) return lane.length === 0;
    this.producer.publish();
    this.channel?.announce();
    for (const message of lane.splice(0, done)) this.finish(message);
    return lane.length === 0;
  }

  private finish(message: QueuedMessage): void {
    this.queuedBytes -= alignedLength(message.bytes.length);
    message.isWritten = true;
    message.onWritten?.();
  }

  /** Writes the next fragment of a message, or the whole of one that fits, unpublished. Returns the payload bytes it took. */
  private commitFragment(
    tag: number,
    correlationId: number,
    aux: number,
    source: Block,
    start: number,
    done: number,
    length: number,
  ): number {
    const { producer } = this;
    const part = Math.min(length - done, producer.maxPayload);
    const offset = producer.tryClaim(part);
    copyBytes(source, start + done, producer, offset, part);
    const more = done + part < length ? MORE << 8 : 0;
    producer.commit(part, tag | more, correlationId, done === 0 ? aux : done);
    return part;
  }
}

/** Ring bytes of a message, in however many fragments. */
export function recordBytesOf(length: number, maxPayload: number): number {
  if (length <= maxPayload) return alignedLength(length);
  const whole = Math.floor(length / maxPayload);
  const rest = length % maxPayload;
  return whole * alignedLength(maxPayload) + (rest > 0 ? alignedLength(rest) : 0);
}
