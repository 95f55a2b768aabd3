import type { Channel } from '../channel/channel.js';
import { debug } from '../diagnostics.js';
import { PillionError } from '../errors.js';
import type { Encoded } from '../protocol/codec.js';
import { privateCopy } from '../ring/copy.js';
import type { RingProducer } from '../ring/producer.js';
import type { ClientStats } from '../stats.js';
import { type FrameWriter, stable } from './frame-writer.js';
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
  /** Blocks until something moves: 1; or the time is over: 0; or the peer is gone: -1. */
  readOrWait(channel: Channel, ms: number): 1 | 0 | -1;
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
  private isAwaitingSpace = false;
  private lingerTimer: NodeJS.Timeout | null = null;
  private lingerDeadline = Number.POSITIVE_INFINITY;

  constructor(host: EventSenderHost, highWaterMark: number) {
    this.host = host;
    this.highWaterMark = highWaterMark;
    this.freeWaiters = new Waiters(() => host.onWaits());
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
    this.askForDrain();
    return false;
  }

  private afterWrite(target: Target): void {
    const { host } = this;
    this.nextSequence = (this.nextSequence + 1) | 0;
    host.counters.eventsSent++;
    if (host.producer.usedBytes > this.highWaterMark) this.askForDrain();
    if (host.channel === null || host.writer.isBatching) return;
    if (target.lingerMs > 0 && this.mayLinger(target.lingerMs)) return;
    host.channel.announceEvents();
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

  /** Blocks this thread until the event fits, for at most the time that its definition allows. Without a connection nobody would make room. */
  private waitAndWrite(target: Target, payload: Encoded): boolean {
    const { host } = this;
    // What is read meanwhile may encode something.
    const own = payload.isStable ? payload : stable(privateCopy(payload.bytes, payload.start, payload.end));
    const deadline = performance.now() + target.waitMs;
    for (;;) {
      const { channel } = host;
      if (channel === null || host.isClosed) return false;
      channel.announce();
      channel.waitForSpace('message');
      const left = deadline - performance.now();
      const state = left > 0 ? host.readOrWait(channel, left) : 0;
      host.onWaits();
      if (this.tryWrite(target, own)) return true;
      if (state === 0) return false;
    }
  }

  /** Resolves when the event is in the ring. */
  async sendWhenFree(target: Target, value: unknown, options: WaitOptions): Promise<void> {
    const { host } = this;
    options.signal?.throwIfAborted();
    const encoded = target.codec.encode(value);
    host.checkLength(encoded.end - encoded.start, target);
    if (!host.isClosed && this.tryWrite(target, encoded)) {
      this.afterWrite(target);
      return;
    }
    const payload = stable(privateCopy(encoded.bytes, encoded.start, encoded.end));
    const deadline = performance.now() + options.timeoutMs;
    for (;;) {
      if (host.isClosed) throw new PillionError('ERR_PILLION_CLOSED', 'the client is closed');
      if (this.tryWrite(target, payload)) break;
      this.awaitSpace();
      await this.freeWaiters.add(0, { ...options, timeoutMs: Math.max(1, deadline - performance.now()) });
    }
    this.afterWrite(target);
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
    this.freeWaiters.settleAll(null);
    if (!this.isDrainDue) return;
    this.host.producer.refreshHead();
    if (this.host.producer.usedBytes > this.highWaterMark) {
      this.awaitSpace();
      return;
    }
    this.isDrainDue = false;
    this.host.onDrain();
  }

  /** An event that can wait: a sleeping sidecar is woken later, unless the ring fills up. True: not now. */
  private mayLinger(ms: number): boolean {
    const { producer } = this.host;
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
    this.host.channel?.announceEvents();
  }

  close(error: Error): void {
    if (this.lingerTimer !== null) this.endLinger();
    this.freeWaiters.settleAll(error);
  }
}
