import { readSync, writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { PillionError, ProtocolError } from '../errors.js';
import { CREDIT, kindOf, tagOf } from '../protocol/frame.js';
import { isLoan } from '../protocol/loan.js';
import { RingConsumer } from '../ring/consumer.js';
import { alignedLength, maxPayloadBytes, RECORD_HEADER_BYTES } from '../ring/layout.js';
import { HEAD, PARKED, privateRing, type RingMemory, TAIL } from '../ring/memory.js';
import type { RingProducer } from '../ring/producer.js';
import type { Channel, ChannelListener } from './channel.js';
import { ArrivedLoans } from './loans.js';

/** Where the socket channel takes its records from. */
export interface Outbox {
  readonly memory: RingMemory;
  readonly producer: RingProducer;
  /** What LOAN records of the outbox point at. */
  readonly arena: Uint8Array | null;
}

/** What the handshake granted to the peer. */
export interface Window {
  readonly ringBytes: number;
  readonly arenaBytes: number;
}

const READ_CHUNK_BYTES = 65536;

/**
 * A connection whose records travel in-band on the socket (docs/protocol.md, section 6): the same rings as over shared memory, but private to each side, with
 * a pump between them. `head` of the outbox moves when the peer reports what it released, so whatever it had not released when it died is still here.
 */
export class SocketChannel implements Channel {
  readonly transport = 'socket';
  readonly producer: RingProducer;
  readonly consumer: RingConsumer;
  readonly loans: ArrivedLoans;
  doorbellCount = 0;

  private readonly socket: Socket;
  private readonly outbox: RingMemory;
  private readonly arena: Uint8Array | null;
  private readonly inbox: RingMemory;
  private readonly isCreditPrompt: boolean;
  private listener: ChannelListener | null = null;
  private isOpen = true;
  private isHungUp = false;
  private isPumpScheduled = false;
  private wantsSpace = false;
  private isPaused = false;
  private isDeliveryScheduled = false;

  /** Outbound: position of the first byte not yet sent, and of the peer's count 0. */
  private sent: number;
  private readonly outboxStart: number;
  /** The bytes of the LOAN record that was sent last. */
  private unsentLoan: Uint8Array | null = null;
  /** Inbound: position of the record that is arriving; how much of it is here. */
  private recordStart = 0;
  private recordBytes = 0;
  private recordLength = 0;
  private readonly header = Buffer.from(new ArrayBuffer(RECORD_HEADER_BYTES));
  private readonly headerWords = new Int32Array(this.header.buffer);
  private reported = 0;

  /**
   * Takes over the socket. With `isCreditPrompt` every batch of releases is reported
   * at once, because the peer keeps its messages until then; else only when a quarter of the window was used.
   */
  constructor(socket: Socket, outbox: Outbox, window: Window, isCreditPrompt: boolean) {
    this.socket = socket;
    this.producer = outbox.producer;
    this.outbox = outbox.memory;
    this.arena = outbox.arena;
    this.inbox = privateRing(window.ringBytes);
    this.loans = new ArrivedLoans(window.arenaBytes);
    this.consumer = new RingConsumer(this.inbox);
    this.isCreditPrompt = isCreditPrompt;
    this.sent = Atomics.load(this.outbox.control, HEAD);
    this.outboxStart = this.sent;
    // "Parked" means here: the pump is not running, tell it.
    Atomics.store(this.outbox.control, PARKED, 1);
    socket.on('data', (chunk: Buffer) => this.onData(chunk));
    socket.on('end', () => this.hangUp());
    socket.on('close', () => this.hangUp());
    socket.on('error', (error) => this.hangUp(error));
    socket.on('drain', () => this.schedulePump());
    socket.unref();
    if (this.hasUnsent) this.schedulePump();
  }

  listen(listener: ChannelListener): void {
    this.listener = listener;
  }

  // --- outbound -------------------------------------------------------------------------------------------------

  announceEvents(): void {
    this.announce();
  }

  announce(): void {
    if (this.producer.takeBell(false)) this.schedulePump();
  }

  private get hasUnsent(): boolean {
    return this.unsentLoan !== null || this.sent !== (this.producer.producerPosition | 0);
  }

  private schedulePump(): void {
    if (this.isPumpScheduled || !this.isOpen) return;
    this.isPumpScheduled = true;
    queueMicrotask(() => this.pump());
  }

  private pump(): void {
    this.isPumpScheduled = false;
    if (!this.isOpen || this.socket.destroyed || this.socket.writableNeedDrain) return;
    Atomics.store(this.outbox.control, PARKED, 1);
    let next = this.takeNext();
    if (next === null) return;
    this.doorbellCount++;
    this.socket.cork();
    while (next !== null) {
      this.socket.write(next);
      next = this.socket.writableNeedDrain ? null : this.takeNext();
    }
    this.socket.uncork();
  }

  /** What goes onto the socket next, or null. Nothing may come between a LOAN record and its bytes. */
  private takeNext(): Uint8Array | null {
    const loan = this.unsentLoan;
    this.unsentLoan = null;
    return loan ?? this.takeCredit() ?? (this.hasUnsent ? this.takeUnsent() : null);
  }

  /** A copy of the records up to the end of the ring, of what is published, or to a loan. The socket keeps it until the kernel has taken it. */
  private takeUnsent(): Buffer {
    const { words, bytes, capacity } = this.outbox;
    const start = (this.sent & (capacity - 1)) >>> 0;
    const unsent = (this.producer.producerPosition - this.sent) >>> 0;
    let length = 0;
    while (length < unsent && start + length < capacity && this.unsentLoan === null) {
      const word = (start + length) >> 2;
      if (isLoan(words[word + 1] as number)) this.unsentLoan = this.lentBytes(word);
      length += alignedLength(words[word] as number);
    }
    this.sent = (this.sent + length) | 0;
    return Buffer.from(bytes.subarray(start, start + length));
  }

  /** Not a copy: the block keeps its bytes until the peer has released the record. */
  private lentBytes(word: number): Uint8Array {
    const [offset, length] = this.outbox.words.subarray(word + RECORD_HEADER_BYTES / 4, word + RECORD_HEADER_BYTES / 4 + 2);
    return (this.arena as Uint8Array).subarray(offset, (offset as number) + (length as number));
  }

  private takeCredit(): Buffer | null {
    const released = this.consumer.releasedPosition;
    const unreported = (released - this.reported) >>> 0;
    if (unreported === 0 || (!this.isCreditPrompt && unreported < this.inbox.capacity / 4)) return null;
    this.reported = released;
    const frame = Buffer.alloc(RECORD_HEADER_BYTES);
    frame.writeInt32LE(tagOf(CREDIT, 0, 0), 4);
    frame.writeInt32LE(released, 12);
    return frame;
  }

  // --- inbound --------------------------------------------------------------------------------------------------

  private onData(chunk: Buffer): void {
    if (!this.isOpen) return;
    try {
      this.feed(chunk);
    } catch (error) {
      this.socket.destroy();
      this.hangUp(error as Error);
      return;
    }
    this.deliver();
  }

  /** Reports what is ready; if the listener leaves some of it for later, again after other work of the loop. */
  private deliver(): void {
    if (!this.isOpen || this.isHungUp || !this.isReady()) return;
    this.listener?.onReady();
    if (this.isDeliveryScheduled || !this.isOpen || this.isPaused || !this.consumer.hasNext()) return;
    this.isDeliveryScheduled = true;
    setImmediate(() => {
      this.isDeliveryScheduled = false;
      this.deliver();
    });
  }

  private isReady(): boolean {
    return (!this.isPaused && this.consumer.hasNext()) || (this.wantsSpace && this.producer.refreshHead());
  }

  /** Puts arrived bytes where their records belong, and publishes each record when it is complete. */
  private feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.loans.isArriving) {
        at += this.loans.append(chunk, at);
        if (!this.loans.isArriving) this.endRecord();
        continue;
      }
      if (this.recordBytes < RECORD_HEADER_BYTES) {
        const taken = chunk.copy(this.header, this.recordBytes, at, at + RECORD_HEADER_BYTES - this.recordBytes);
        this.recordBytes += taken;
        at += taken;
        if (this.recordBytes < RECORD_HEADER_BYTES) return;
        if (this.takeCreditFrame()) continue;
        this.beginRecord();
      } else {
        const index = (this.recordStart & (this.inbox.capacity - 1)) >>> 0;
        const taken = Math.min(chunk.length - at, this.recordLength - this.recordBytes);
        this.inbox.bytes.set(chunk.subarray(at, at + taken), index + this.recordBytes);
        this.recordBytes += taken;
        at += taken;
      }
      if (this.recordBytes < this.recordLength) continue;
      this.beginLoanIfAny();
      if (!this.loans.isArriving) this.endRecord();
    }
  }

  private beginRecord(): void {
    const payloadLength = this.headerWords[0] as number;
    const { capacity } = this.inbox;
    if (payloadLength < 0 || payloadLength > maxPayloadBytes(capacity)) {
      throw new ProtocolError(`a record on the socket claims ${payloadLength >>> 0} bytes, allowed are ${maxPayloadBytes(capacity)}`);
    }
    this.recordLength = alignedLength(payloadLength);
    if ((this.recordStart + this.recordLength - this.consumer.releasedPosition) >>> 0 > capacity) {
      throw new ProtocolError(`the peer sent more than its window of ${capacity} bytes`);
    }
    this.inbox.words.set(this.headerWords, ((this.recordStart & (capacity - 1)) >>> 0) / 4);
  }

  /** The bytes of a loan follow its record, which nobody hears of before they are here. */
  private beginLoanIfAny(): void {
    const [payloadLength, tag] = this.headerWords as unknown as [number, number];
    if (!isLoan(tag)) return;
    const at = ((this.recordStart & (this.inbox.capacity - 1)) >>> 0) + RECORD_HEADER_BYTES;
    this.loans.begin(this.inbox, at, payloadLength, tag, (this.recordStart + this.recordLength) | 0);
  }

  private endRecord(): void {
    this.recordStart = (this.recordStart + this.recordLength) | 0;
    this.recordBytes = 0;
    Atomics.store(this.inbox.control, TAIL, this.recordStart);
  }

  /** A report of what the peer released is for the outbox, and takes no place in the inbox. */
  private takeCreditFrame(): boolean {
    // With a correlation id it is credit for a stream, and a record like any other.
    if (kindOf(this.headerWords[1] as number) !== CREDIT || this.headerWords[2] !== 0) return false;
    if (this.headerWords[0] !== 0 || this.headerWords[1] !== CREDIT) {
      throw new ProtocolError('a CREDIT frame carries something that it must not');
    }
    const head = (this.outboxStart + (this.headerWords[3] as number)) | 0;
    const previous = Atomics.load(this.outbox.control, HEAD);
    if ((head - previous) >>> 0 > (this.sent - previous) >>> 0) {
      throw new ProtocolError(`the peer reports ${(this.headerWords[3] as number) >>> 0} released bytes, which cannot be`);
    }
    Atomics.store(this.outbox.control, HEAD, head);
    this.recordBytes = 0;
    return true;
  }

  settle(): void {
    this.loans.settle(this.consumer.releasedPosition);
    this.consumer.publishHead();
    if (this.isCreditPrompt || (this.consumer.releasedPosition - this.reported) >>> 0 >= this.inbox.capacity / 4) this.schedulePump();
  }

  waitForSpace(what: 'no' | 'flush' | 'message'): void {
    this.wantsSpace = what !== 'no';
  }

  noteLook(): void {}

  spinForSpace(): boolean {
    return false;
  }

  expectRest(): void {}

  expectArrival(): void {}

  noteEvents(): void {}

  pause(on: boolean): void {
    this.isPaused = on;
    if (!on) setImmediate(() => this.deliver());
  }

  spin(): boolean {
    return false;
  }

  // --- blocking -------------------------------------------------------------------------------------------------

  /** Reads and writes the socket's descriptor directly, since the event loop stands still meanwhile. */
  wait(ms: number, isForSpace: boolean): 1 | 0 | -1 {
    if (this.isHungUp || !this.isOpen) return this.consumer.hasNext() ? 1 : -1;
    const descriptor = (this.socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
    // What the socket object has queued only the event loop can write, and nothing may overtake it.
    const mayWrite = this.socket.writableLength === 0;
    if (descriptor < 0 && isForSpace) return 0;
    if (descriptor < 0 || (!mayWrite && !isForSpace)) {
      throw new PillionError(
        'ERR_PILLION_BUSY',
        'callSync over a socket is not possible while earlier messages still wait for the kernel: use call',
      );
    }
    const deadline = performance.now() + ms;
    const chunk = Buffer.allocUnsafe(READ_CHUNK_BYTES);
    const sleeper = new Int32Array(new SharedArrayBuffer(4));
    let unwritten: Uint8Array = Buffer.alloc(0);
    for (let round = 0; ; round++) {
      try {
        if (mayWrite && unwritten.length === 0) unwritten = this.takeNext() ?? unwritten;
        if (unwritten.length > 0) unwritten = unwritten.subarray(writeSync(descriptor, unwritten));
        const length = readSync(descriptor, chunk);
        if (length === 0) return -1;
        this.feed(chunk.subarray(0, length));
      } catch (error) {
        if (error instanceof ProtocolError) throw error;
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return -1;
      }
      if (unwritten.length === 0 && this.isReady()) return 1;
      if (performance.now() >= deadline && unwritten.length === 0) return 0;
      // No way to sleep on a descriptor without the addon: look often at first, then every millisecond.
      if (round > 20) Atomics.wait(sleeper, 0, 0, round < 200 ? 0.05 : 1);
    }
  }

  // --- end ------------------------------------------------------------------------------------------------------

  private hangUp(error?: Error): void {
    if (this.isHungUp) return;
    this.isHungUp = true;
    // The listener reads what is left by itself.
    this.listener?.onHangup(error instanceof ProtocolError ? error : undefined);
  }

  keepAlive(on: boolean): void {
    if (on) this.socket.ref();
    else this.socket.unref();
  }

  close(): void {
    if (!this.isOpen) return;
    this.pump();
    this.isOpen = false;
    this.isHungUp = true;
    for (let next = this.takeNext(); next !== null && !this.socket.destroyed; next = this.takeNext()) this.socket.write(next);
    // end() lets the kernel have what is written; a peer that does not read must not keep us.
    this.socket.end();
    const destroy = setTimeout(() => this.socket.destroy(), 1000);
    destroy.unref();
    this.socket.once('close', () => clearTimeout(destroy));
    this.socket.resume();
  }
}
