import type { Channel } from '../channel/channel.js';
import { PillionError } from '../errors.js';
import type { Encoded } from '../protocol/codec.js';
import { kindOf, MORE } from '../protocol/frame.js';
import { type Block, copyBytes, privateCopy } from '../ring/copy.js';
import { alignedLength } from '../ring/layout.js';
import type { RingProducer } from '../ring/producer.js';

/** A message that waits for space, or whose fragments do. */
export interface QueuedMessage {
  readonly tag: number;
  readonly correlationId: number;
  readonly aux: number;
  readonly bytes: Uint8Array;
  /** How much is in the ring already. */
  offset: number;
}

/** How often a pump may wait for space before the event loop gets a turn: a few milliseconds of copying at the most. */
const MAX_FRAGMENTS_PER_PUMP = 64;

/** Empty payload, for frames that need none. */
export const NOTHING: Encoded = { bytes: new Uint8Array(0), words: null, start: 0, end: 0, isStable: true };

/**
 * Puts messages into the outbound ring: as one record, as fragments, or, when there is no space, later.
 *
 * The queue holds calls and replies only; events are accepted at once or not at all, because an accepted event must be where a crash of this process
 * cannot take it along.
 */
export class FrameWriter {
  /** Ring bytes that the queue will take: headers count, or messages without payload would be free. */
  queuedBytes = 0;
  private producer: RingProducer;
  private channel: Channel | null = null;
  private queue: QueuedMessage[] = [];
  private readonly onQueue: (isBlocked: boolean) => void;

  /** `onQueue` is told whether messages wait for space whenever that may have changed. */
  constructor(producer: RingProducer, onQueue: (isBlocked: boolean) => void) {
    this.producer = producer;
    this.onQueue = onQueue;
  }

  /** From now on write to this ring. Fragments written to the old one count for nothing. */
  useRing(producer: RingProducer): void {
    this.producer = producer;
    for (const message of this.queue) message.offset = 0;
  }

  /** From now on wake this channel's peer; null while there is none. */
  useChannel(channel: Channel | null): void {
    this.channel = channel;
    if (channel !== null) this.pump();
  }

  get hasQueue(): boolean {
    return this.queue.length > 0;
  }

  /** Messages that are not completely in the ring. */
  get queued(): readonly QueuedMessage[] {
    return this.queue;
  }

  /** One record, now or not at all. The caller announces it. */
  tryWrite(tag: number, correlationId: number, aux: number, payload: Encoded): boolean {
    const { producer } = this;
    const length = payload.end - payload.start;
    const offset = producer.tryClaim(length);
    if (offset < 0) return false;
    copyBytes(payload, payload.start, producer, offset, length);
    producer.commit(length, tag, correlationId, aux);
    producer.publish();
    return true;
  }

  /** A whole event, of however many fragments, under one store of the producer position; false if it does not fit now. */
  tryWriteEvent(tag: number, sequence: number, payload: Encoded): boolean {
    const { producer } = this;
    const length = payload.end - payload.start;
    if (length <= producer.maxPayload) return this.tryWrite(tag, sequence, 0, payload);
    this.checkEventLength(length);
    if (!producer.hasSpace(fragmentedLength(length, producer.maxPayload))) return false;
    let offset = 0;
    while (offset < length) offset += this.commitFragment(tag, sequence, 0, payload, payload.start, offset, length);
    producer.publish();
    return true;
  }

  /** Throws if an event of so many bytes can never be written. */
  checkEventLength(length: number): void {
    const { producer } = this;
    if (fragmentedLength(length, producer.maxPayload) <= producer.capacity) return;
    throw new PillionError(
      'ERR_PILLION_TOO_LARGE',
      `an event of ${length} bytes does not fit a ring of ${producer.capacity} bytes, where it must stay until it is handled: raise ringBytes.toServer, or use a method`,
    );
  }

  /** A message of any size, now or as soon as there is space. A payload that has to wait is copied unless it is stable. */
  write(tag: number, correlationId: number, aux: number, payload: Encoded): void {
    const length = payload.end - payload.start;
    if (this.queue.length === 0 && length <= this.producer.maxPayload && this.tryWrite(tag, correlationId, aux, payload)) {
      this.channel?.announce();
      return;
    }
    const { bytes, start, end, isStable } = payload;
    this.queueMessage(tag, correlationId, aux, isStable ? bytes.subarray(start, end) : privateCopy(bytes, start, end));
  }

  /** The same for bytes that nobody else will change. */
  queueMessage(tag: number, correlationId: number, aux: number, bytes: Uint8Array): void {
    this.queue.push({ tag, correlationId, aux, bytes, offset: 0 });
    this.queuedBytes += alignedLength(bytes.length);
    this.pump();
  }

  /** Takes a message back that has not been begun. False: at least a part of it is in the ring. */
  remove(kind: number, correlationId: number): boolean {
    const index = this.queue.findIndex((message) => message.correlationId === correlationId && kindOf(message.tag) === kind);
    if (index < 0) return false;
    const [message] = this.queue.splice(index, 1) as [QueuedMessage];
    this.queuedBytes -= alignedLength(message.bytes.length);
    return message.offset === 0;
  }

  /** Writes what fits. Called when there is space, and after anything was queued. */
  pump(): void {
    const { queue, producer } = this;
    if (queue.length === 0) return;
    let fragments = 0;
    while (queue.length > 0) {
      const message = queue[0] as QueuedMessage;
      const { bytes } = message;
      const needed = alignedLength(Math.min(bytes.length - message.offset, producer.maxPayload));
      // While the peer copies fragments out, waiting here is cheaper than a turn of the event loop for each; within bounds.
      while (!producer.hasSpace(needed)) {
        if (++fragments > MAX_FRAGMENTS_PER_PUMP || !this.channel?.spinForSpace()) {
          this.onQueue(true);
          return;
        }
      }
      message.offset += this.commitFragment(
        message.tag,
        message.correlationId,
        message.aux,
        { bytes, words: null },
        0,
        message.offset,
        bytes.length,
      );
      // Each fragment at once, so that the other side copies it out while this one copies the next one in.
      producer.publish();
      this.channel?.announce();
      if (message.offset < bytes.length) continue;
      queue.shift();
      this.queuedBytes -= alignedLength(bytes.length);
    }
    this.onQueue(false);
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

/** Ring bytes of a message that is cut into fragments. */
function fragmentedLength(length: number, maxPayload: number): number {
  const whole = Math.floor(length / maxPayload);
  const rest = length % maxPayload;
  return whole * alignedLength(maxPayload) + (rest > 0 ? alignedLength(rest) : 0);
}
