import type { Channel } from '../channel/channel.js';
import { debug } from '../diagnostics.js';
import { PillionError } from '../errors.js';
import type { Encoded } from '../protocol/codec.js';
import { privateCopy } from '../ring/copy.js';
import type { RingProducer } from '../ring/producer.js';
import type { ClientStats } from '../stats.js';
import { type FrameWriter, recordBytesOf, stable } from './frame-writer.js';
import type { Target } from './target.js';
import { Waiters, type WaitOptions } from './waiters.js';

/** What the session does for its events. */
export interface EventSenderHost {
  readonly writer: FrameWriter;
  readonly isClosed: boolean;
  readonly counters: Pick<ClientStats, 'eventsSent' | 'eventsDropped'>;
  readonly producer: RingProducer;
  /** Of the connection, if there is one. */
  readonly channel: Channel | null;
  checkLength(length: number, target: Target): void;
  /** A nonsensical consumer position ends the connection; anything else is thrown on. */
  dropConnectionOn(error: unknown): void;
  /** Blocks until there is space, or something was read: 1; or the time is over: 0; or the peer is gone: -1. */
  readOrAwaitSpace(channel: Channel, ms: number): 1 | 0 | -1;
  /** Waits came or went. */
  onWaits(): void;
  /** There is room again for somebody who was refused. */
  onDrain(): void;
}

/** Puts events into the ring, now or as soon as there is room, and sees that somebody looks at them. */
export class EventSender {
  /** Above so many bytes in the ring, `drain` will tell when it is below again. */
  readonly highWaterMark: number;
  private readonly host: EventSenderHost;
  private readonly freeWaiters: Waiters;
  private nextSequence = 1;
  private isDrainDue = false;
  /** Ring bytes of the longest event that was refused since the last `drain`. */
  private refusedBytes = 0;
  private isAwaitingSpace = false;
  /** The shortest linger time of this batch's events, if there are any. */
  private batchLingerMs = Number.POSITIVE_INFINITY;
  private lingerTimer: NodeJS.Timeout | null = null;
  private lingerDeadline = Number.POSITIVE_INFINITY;

  constructor(host: EventSenderHost, highWaterMark: number) {
    this.host = host;
    this.highWaterMark = highWaterMark;
    this.freeWaiters = new Waiters(() => {
      // Whoever has given up may have held up others.
      this.freeWaiters.attemptInOrder();
      host.onWaits();
    });
  }

  /** Does somebody wait for room? */
  get isWaiting(): boolean {
    return this.freeWaiters.size > 0;
  }

  /** Has the ring been full, or above the high-water mark, since the last `drain`? */
  get needsDrain(): boolean {
    return this.isDrainDue;
  }

  /** True: the event is in the ring. */
  send(target: Target, value: unknown): boolean {
    const { host } = this;
    if (host.isClosed) {
      host.counters.eventsDropped++;
      return false;
    }
    const payload = target.codec.encode(value);
    host.checkLength(payload.end - payload.start, target);
    if (this.tryWrite(target, payload) || (target.overflow === 'wait' && this.waitAndWrite(target, payload))) {
      this.afterWrite(target);
      return true;
    }
    host.counters.eventsDropped++;
    this.refusedBytes = Math.max(this.refusedBytes, recordBytesOf(payload.end - payload.start, host.producer.maxPayload));
    this.askForDrain();
    return false;
  }

  private afterWrite(target: Target): void {
    const { host } = this;
    this.nextSequence = (this.nextSequence + 1) | 0;
    host.counters.eventsSent++;
    if (host.producer.usedBytes > this.highWaterMark) this.askForDrain();
    if (host.writer.isBatching) this.batchLingerMs = Math.min(this.batchLingerMs, target.lingerMs);
    else this.announce(target.lingerMs);
  }

  /** Sees that the sidecar looks, now or within so many ms. */
  private announce(lingerMs: number): void {
    const { channel } = this.host;
    if (channel === null || (lingerMs > 0 && this.mayLinger(channel, lingerMs))) return;
    channel.announceEvents();
  }

  /** A batch is over, and nothing was in it that had to be announced at once. */
  announceBatch(): void {
    const { batchLingerMs } = this;
    this.batchLingerMs = Number.POSITIVE_INFINITY;
    if (batchLingerMs !== Number.POSITIVE_INFINITY) this.announce(batchLingerMs);
  }

  private tryWrite(target: Target, payload: Encoded): boolean {
    const { writer } = this.host;
    try {
      return writer.tryWriteEvent(target.tag, this.nextSequence, payload);
    } catch (error) {
      this.host.dropConnectionOn(error);
      return writer.tryWriteEvent(target.tag, this.nextSequence, payload);
    }
  }

  /** An event that `write` puts into the ring by itself under the sequence number that it is given, unpublished; it is asked again if the connection turns out to be broken. */
  accept(target: Target, write: (sequence: number) => boolean): boolean {
    const { host } = this;
    let isWritten: boolean;
    try {
      isWritten = write(this.nextSequence);
    } catch (error) {
      host.dropConnectionOn(error);
      isWritten = write(this.nextSequence);
    }
    if (!isWritten) {
      this.askForDrain();
      return false;
    }
    if (!host.writer.isBatching) host.producer.publish();
    this.afterWrite(target);
    return true;
  }

  /** Blocks this thread until the event fits, for at most the time that its definition allows. Without a connection nobody would make room. */
  private waitAndWrite(target: Target, payload: Encoded): boolean {
    const { host } = this;
    // What is read meanwhile may encode something, with the same codec object.
    const own = stable(
      payload.isStable ? payload.bytes.subarray(payload.start, payload.end) : privateCopy(payload.bytes, payload.start, payload.end),
    );
    const deadline = performance.now() + target.waitMs;
    for (;;) {
      const { channel } = host;
      if (channel === null || host.isClosed) return false;
      channel.announce();
      const left = deadline - performance.now();
      const state = left > 0 ? host.readOrAwaitSpace(channel, left) : 0;
      host.onWaits();
      if (this.tryWrite(target, own)) return true;
      if (state !== 1) return false;
    }
  }

  /** Resolves when the event is in the ring. Those who wait get their turn in order, whatever fits. */
  async sendWhenFree(target: Target, value: unknown, options: WaitOptions): Promise<void> {
    const { host } = this;
    if (host.isClosed) throw new PillionError('ERR_PILLION_CLOSED', 'the client is closed');
    options.signal?.throwIfAborted();
    const encoded = target.codec.encode(value);
    host.checkLength(encoded.end - encoded.start, target);
    if (this.freeWaiters.size === 0 && this.tryWrite(target, encoded)) {
      this.afterWrite(target);
      return;
    }
    const payload = stable(privateCopy(encoded.bytes, encoded.start, encoded.end));
    this.awaitSpace();
    await this.freeWaiters.add(0, options, () => {
      if (!this.tryWrite(target, payload)) return false;
      this.afterWrite(target);
      return true;
    });
  }

  private askForDrain(): void {
    if (!this.isDrainDue) debug('the ring is above its high-water mark, or full: %d bytes', this.host.producer.usedBytes);
    this.isDrainDue = true;
    this.awaitSpace();
  }

  private awaitSpace(): void {
    if (this.isAwaitingSpace || this.host.isClosed) return;
    this.isAwaitingSpace = true;
    this.host.writer.whenFree(() => this.onSpace());
  }

  private onSpace(): void {
    this.isAwaitingSpace = false;
    this.freeWaiters.attemptInOrder();
    if (this.isDrainDue && this.isDrained()) {
      this.isDrainDue = false;
      this.refusedBytes = 0;
      this.host.onDrain();
    }
    if (this.isDrainDue || this.freeWaiters.size > 0) this.awaitSpace();
  }

  private isDrained(): boolean {
    const { producer } = this.host;
    producer.refreshHead();
    return producer.usedBytes <= this.highWaterMark && producer.hasSpace(this.refusedBytes);
  }

  /** An event that can wait: a sleeping sidecar is woken later, unless the ring fills up. True: not now. */
  private mayLinger(channel: Channel, ms: number): boolean {
    const { producer } = this.host;
    // Over a socket an event is safe only when the kernel has it.
    if (channel.transport !== 'shm') return false;
    if (!producer.isConsumerParked || producer.usedBytes > producer.capacity / 2) return false;
    const deadline = performance.now() + ms;
    if (deadline >= this.lingerDeadline) return true;
    if (this.lingerTimer !== null) clearTimeout(this.lingerTimer);
    this.lingerDeadline = deadline;
    this.lingerTimer = setTimeout(() => this.endLinger(), ms);
    // When the process ends, the sidecar looks anyway.
    this.lingerTimer.unref();
    return true;
  }

  private endLinger(): void {
    this.lingerTimer = null;
    this.lingerDeadline = Number.POSITIVE_INFINITY;
    const { channel, producer } = this.host;
    if (channel === null) return;
    try {
      producer.refreshHead();
    } catch (error) {
      this.host.dropConnectionOn(error);
      return;
    }
    // It may have looked for another reason, and sleep again.
    if (producer.usedBytes > 0) channel.announceEvents();
  }

  close(error: Error): void {
    // The sidecar looks at the end of the connection anyway.
    if (this.lingerTimer !== null) clearTimeout(this.lingerTimer);
    this.lingerTimer = null;
    this.freeWaiters.settleAll(error);
  }
}
