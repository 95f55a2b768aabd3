import {
  CACHED_HEAD,
  EAGER,
  EVENT_COUNT,
  EXPECTING,
  errnoName,
  HANGUP,
  IS_REF,
  KEEP_ALIVE,
  type NativeAddon,
  type NativeSegment,
  type NativeSocket,
  type NativeWatch,
  PAUSED,
  READ_POSITION,
  WANTS_SPACE,
  WATCH_STATE_WORDS,
} from '../native.js';
import { RingConsumer } from '../ring/consumer.js';
import type { RingMemory } from '../ring/memory.js';
import type { RingProducer } from '../ring/producer.js';
import type { Channel, ChannelListener } from './channel.js';
import { type LoanReader, noLoans } from './loans.js';

/** A peer that copies a quarter of a large ring needs about so long. */
const SPACE_SPIN_NS = 50_000;

const BELL_RETRY_MS = 2;
const brokenConnection = new Set(['EPIPE', 'ECONNRESET', 'ENOTCONN', 'EBADF']);

/** A connection through shared memory. The socket carries doorbells, and its end-of-file is the crash detector. */
export class ShmChannel implements Channel {
  readonly transport = 'shm';
  readonly producer: RingProducer;
  readonly consumer: RingConsumer;
  readonly loans: LoanReader;
  doorbellCount = 0;

  private readonly state = new Int32Array(new ArrayBuffer(WATCH_STATE_WORDS * 4));
  private readonly watch: NativeWatch;
  private readonly socket: NativeSocket;
  private listener: ChannelListener | null = null;
  private isBellPending = false;
  private isBellOwed = false;
  private isOpen = true;
  /** How far the head was when those who wait for space were told of it. */
  private lookedAt = 0;
  private readonly ringPendingBell = (): void => {
    if (this.isBellPending) this.ringBell();
  };

  /** Takes over the socket. `outbound` and `inbound` are the segment's rings as this side sees them; `inboundRing` is the index of the latter. */
  constructor(
    addon: NativeAddon,
    socket: NativeSocket,
    segment: NativeSegment,
    producer: RingProducer,
    inbound: RingMemory,
    inboundRing: 0 | 1,
    loans: LoanReader = noLoans,
  ) {
    this.loans = loans;
    this.producer = producer;
    this.socket = socket;
    try {
      this.consumer = new RingConsumer(inbound);
      this.state[READ_POSITION] = this.consumer.readPosition;
      this.watch = new addon.LoopWatch(socket, segment, inboundRing, this.state, (events) => this.onWatchEvent(events));
    } catch (error) {
      // Positions that cannot be, or no memory: nobody else knows the socket any more.
      socket.close();
      throw error;
    }
  }

  listen(listener: ChannelListener): void {
    this.listener = listener;
  }

  private onWatchEvent(events: number): void {
    if (!this.isOpen || this.listener === null) return;
    if (this.state[WANTS_SPACE] !== 0) this.look();
    if ((events & HANGUP) !== 0) {
      this.listener.onHangup();
    } else {
      this.listener.onReady();
    }
  }

  announceEvents(): void {
    if (this.isBellPending) {
      if (this.producer.usedBytes > this.producer.capacity / 2) this.ringBell();
    } else if (this.producer.takeBell(true)) {
      this.isBellPending = true;
      queueMicrotask(this.ringPendingBell);
    }
  }

  announce(): void {
    if (this.producer.takeBell(false) || this.isBellPending) this.ringBell();
  }

  private ringBell(): void {
    this.isBellPending = false;
    this.doorbellCount++;
    this.isBellOwed = false;
    if (!this.isOpen) return;
    const result = this.watch.notify();
    // A broken connection shows as hang-up. Anything else, such as no memory in the kernel, may pass; the peer sleeps until then.
    if (result >= 0 || brokenConnection.has(errnoName(result))) return;
    this.isBellOwed = true;
    setTimeout(() => this.isBellOwed && this.ringBell(), BELL_RETRY_MS);
  }

  settle(): void {
    this.state[READ_POSITION] = this.consumer.readPosition;
    if (this.consumer.publishHead()) this.ringBell();
  }

  waitForSpace(what: 'no' | 'flush' | 'message'): void {
    const { state } = this;
    if (what === 'no') {
      state[WANTS_SPACE] = 0;
      return;
    }
    // Whoever writes looks at the head, too; the news is still news for those who wait, until they have been told.
    if (state[WANTS_SPACE] === 0) this.lookedAt = this.producer.cachedHead;
    state[CACHED_HEAD] = this.lookedAt;
    state[WANTS_SPACE] = what === 'flush' ? 1 : 2;
    this.unpark();
  }

  noteLook(): void {
    this.lookedAt = this.producer.cachedHead;
    this.state[CACHED_HEAD] = this.lookedAt;
  }

  private look(): void {
    try {
      this.producer.refreshHead();
    } catch {
      // The listener finds the same fault, and ends the connection.
    }
    this.noteLook();
  }

  spinForSpace(): boolean {
    const { state, producer } = this;
    if (!this.isOpen || producer.isConsumerParked) return false;
    const wanted = state[WANTS_SPACE] as number;
    const paused = state[PAUSED] as number;
    state[CACHED_HEAD] = producer.cachedHead;
    state[WANTS_SPACE] = 2;
    // Only space counts here, whatever there may be to read.
    state[PAUSED] = 1;
    const hasSpace = this.watch.spin(SPACE_SPIN_NS);
    state[WANTS_SPACE] = wanted;
    state[PAUSED] = paused;
    return hasSpace;
  }

  expectRest(on: boolean): void {
    this.state[EAGER] = on ? 1 : 0;
  }

  expectArrival(on: boolean): void {
    this.state[EXPECTING] = on ? 1 : 0;
    if (on) this.unpark();
  }

  // The hub decides before the loop blocks whether to spin or sleep, but only for watches that are not asleep already.
  private unpark(): void {
    if (this.isOpen && this.consumer.isParked) this.watch.unpark();
  }

  noteEvents(count: number): void {
    this.state[EVENT_COUNT] = ((this.state[EVENT_COUNT] as number) + count) | 0;
  }

  pause(on: boolean): void {
    this.state[PAUSED] = on ? 1 : 0;
    if (!on) this.unpark();
  }

  spin(limitNs?: number): boolean {
    if (!this.isOpen) return false;
    return limitNs === undefined ? this.watch.spin() : this.watch.spin(limitNs);
  }

  wait(ms: number): 1 | 0 | -1 {
    if (!this.isOpen) return -1;
    // Whoever waits while a message is being handled has read that one, though it is not settled yet.
    this.state[READ_POSITION] = this.consumer.readPosition;
    if (!this.isBellOwed) return this.watch.wait(ms) as 1 | 0 | -1;
    // No timer fires while this thread is blocked.
    const result = this.watch.wait(Math.min(ms, BELL_RETRY_MS)) as 1 | 0 | -1;
    this.ringBell();
    return result === 0 && ms > BELL_RETRY_MS ? 1 : result;
  }

  keepAlive(on: boolean): void {
    const { state } = this;
    state[KEEP_ALIVE] = on ? 1 : 0;
    if (!this.isOpen) return;
    // Ref at once, or the process might end; unref in the hub before the loop blocks, because the next call may come before that.
    if (on && state[IS_REF] === 0) this.watch.ref();
    else if (!on && state[IS_REF] !== 0 && this.consumer.isParked) this.watch.unref();
  }

  close(): void {
    if (!this.isOpen) return;
    this.ringPendingBell();
    this.isOpen = false;
    this.watch.close();
    this.socket.close();
  }
}
