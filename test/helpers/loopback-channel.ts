import type { Channel, ChannelListener } from '../../src/channel/channel.js';
import { ArenaLoans, type LoanReader } from '../../src/channel/loans.js';
import { RingConsumer } from '../../src/ring/consumer.js';
import { privateRing, type RingMemory } from '../../src/ring/memory.js';
import { RingProducer } from '../../src/ring/producer.js';

/** A channel whose peer is the test: real rings, and nobody to wake. */
export class LoopbackChannel implements Channel {
  readonly transport = 'shm';
  readonly producer: RingProducer;
  readonly consumer: RingConsumer;
  readonly loans: LoanReader;
  readonly arena: Uint8Array;
  doorbellCount = 0;
  isClosed = false;
  isPaused = false;
  wantsSpace: 'no' | 'flush' | 'message' = 'no';
  /** The test's ends: what it writes arrives, what is sent it reads. */
  readonly peer: { producer: RingProducer; consumer: RingConsumer; inbound: RingMemory; outbound: RingMemory };
  private listener: ChannelListener | null = null;

  constructor(capacity = 4096, arenaBytes = 0) {
    this.arena = new Uint8Array(arenaBytes);
    this.loans = new ArenaLoans(this.arena);
    const inbound = privateRing(capacity);
    const outbound = privateRing(capacity);
    this.producer = new RingProducer(outbound);
    this.consumer = new RingConsumer(inbound);
    this.peer = { producer: new RingProducer(inbound), consumer: new RingConsumer(outbound), inbound, outbound };
  }

  listen(listener: ChannelListener): void {
    this.listener = listener;
  }

  /** Tells the session that there is something to do. */
  ready(): void {
    this.listener?.onReady();
  }

  hangUp(error?: Error): void {
    this.listener?.onHangup(error);
  }

  announceEvents(): void {
    this.doorbellCount++;
  }

  announce(): void {
    this.doorbellCount++;
  }

  settle(): void {
    this.consumer.publishHead();
  }

  waitForSpace(what: 'no' | 'flush' | 'message'): void {
    this.wantsSpace = what;
  }

  noteLook(): void {}

  expectArrival(): void {}

  expectRest(): void {}

  noteEvents(): void {}

  pause(on: boolean): void {
    this.isPaused = on;
  }

  spin(): boolean {
    return false;
  }

  spinForSpace(): boolean {
    return false;
  }

  wait(): 0 {
    return 0;
  }

  keepAlive(): void {}

  close(): void {
    this.isClosed = true;
  }
}
