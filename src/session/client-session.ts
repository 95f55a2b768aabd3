import type { Channel } from '../channel/channel.js';
import { PillionError, ProtocolError } from '../errors.js';
import { copyOut, type PayloadCodec } from '../protocol/codec.js';
import { CALL, CANCEL, END, kindOf, PONG, tagOf } from '../protocol/frame.js';
import type { RingConsumer } from '../ring/consumer.js';
import { privateCopy } from '../ring/copy.js';
import type { RingProducer } from '../ring/producer.js';
import { newClientCounters } from '../stats.js';
import { type AnswerListener, AnswerReader } from './answer-reader.js';
import { carryOver } from './carry-over.js';
import { type ClaimHost, Claims } from './claims.js';
import { type ClientMemory, createMemory, privateMemory } from './client-memory.js';
import { ClientPushes } from './client-pushes.js';
import { ClientStreams } from './client-streams.js';
import { type Connection, Connector, type ConnectorHost, type ConnectorOptions } from './connector.js';
import { EventSender } from './event-sender.js';
import { FrameWriter, stable } from './frame-writer.js';
import { InlineWait } from './inline-wait.js';
import { type PendingCall, PendingCalls, timeLeftField, timeoutError } from './pending-calls.js';
import type { Target } from './target.js';
import { Waiters, type WaitOptions } from './waiters.js';

export interface SessionOptions extends ConnectorOptions {
  /** The user wants no shared memory. */
  isSocketWanted: boolean;
  /** Why there is no addon. */
  noShmReason: string | undefined;
  /** Is there a processor for the sidecar while this thread waits? */
  maySpin: boolean;
  maxMessageBytes: number;
  /** Bytes in the ring above which `drain` is told. */
  highWaterMark: number;
  /** 0: claims are private memory. */
  arenaBytes: number;
  /** Are views of claims made unusable when the claim is over? */
  checksViews: boolean;
}

/** Answers to pings that may wait for space, besides the calls that do. */
const MAX_QUEUED_PONGS = 16;

/** What the session tells the client object. */
export interface SessionListener {
  onConnect(): void;
  onDisconnect(reason: Error | null): void;
  /** A connection runs over the socket though shared memory was wanted. */
  onFallback(reason: string): void;
  /** There is room again for events that were refused. */
  onDrain(): void;
}

const noop = (): void => {};

/**
 * One client's side of the conversation over however many connections it takes. Messages go into the ring whether or not a server is there; what a dead server
 * has not released goes into the ring of the next connection.
 */
export class ClientSession implements ConnectorHost, AnswerListener, ClaimHost<Target> {
  readonly counters = newClientCounters();
  connection: Connection | null = null;
  isClosed = false;
  /** Why the last connection ended, unless it just ended. */
  private endReason: Error | null = null;

  private readonly options: SessionOptions;
  private readonly listener: SessionListener;
  private readonly connector: Connector;
  private readonly pending: PendingCalls;
  readonly writer: FrameWriter;
  readonly events: EventSender;
  readonly streams: ClientStreams;
  readonly pushes = new ClientPushes();
  private readonly answers: AnswerReader;
  private readonly inline: InlineWait;
  readonly claims: Claims<Target>;
  memory: ClientMemory;
  /** The server said GOODBYE, its last word: what lies beyond its head it has never taken. */
  private isLeftInOrder = false;
  private readonly readyWaiters = new Waiters(() => this.updateWaits());
  private readonly flushWaiters = new Waiters(() => this.updateWaits());
  private isFlushBehindQueue = false;
  private nextCallId = 1;
  private isAlive = false;
  private notedPushes = 0;

  constructor(options: SessionOptions, listener: SessionListener) {
    this.options = options;
    this.listener = listener;
    this.pending = new PendingCalls((call) => this.cancel(call));
    this.answers = new AnswerReader(options.maxMessageBytes);
    this.memory = this.createMemory();
    this.writer = new FrameWriter(this.memory.producer, () => this.updateWaits());
    this.events = new EventSender(this, options.highWaterMark);
    this.streams = new ClientStreams(this);
    this.inline = new InlineWait(options.addon, options.maySpin);
    this.claims = new Claims(this, options.checksViews);
    this.connector = new Connector(options, this);
    void this.connector.connect();
  }

  private createMemory(): ClientMemory {
    const { isSocketWanted, addon, noShmReason, ringBytes, arenaBytes } = this.options;
    return isSocketWanted ? privateMemory(undefined, ringBytes, arenaBytes) : createMemory(addon, noShmReason, ringBytes, arenaBytes);
  }

  // --- sending --------------------------------------------------------------------------------------------------

  /** EventSenderHost. */
  get producer(): RingProducer {
    return this.memory.producer;
  }

  get channel(): Channel | null {
    return this.connection?.channel ?? null;
  }

  onWaits(): void {
    this.updateWaits();
  }

  onDrain(): void {
    this.listener.onDrain();
  }

  /** Runs `send` with one store of the producer position, and one look at the sidecar, for all that it writes. */
  batch<R>(send: () => R): R {
    if (this.isClosed) return send();
    this.writer.beginBatch();
    try {
      return send();
    } finally {
      // Calls are waited for; events can wait for a sidecar that dozes.
      if (this.writer.endBatch()) this.channel?.announce();
      if (!this.writer.isBatching) this.events.announceBatch();
    }
  }

  /** ClaimHost. */
  checkEvent(target: Target, length: number): void {
    this.checkLength(length, target);
    if (this.memory.arena === null) this.writer.checkEventLength(length);
  }

  writeEvent(target: Target, bytes: Uint8Array, sequence: number): boolean {
    return this.writer.tryWriteEvent(target.tag, sequence, target.codec.encode(bytes));
  }

  acceptEvent(target: Target, write: (sequence: number) => boolean): boolean {
    return this.events.accept(target, write);
  }

  refreshHead(): void {
    try {
      this.memory.producer.refreshHead();
    } catch (error) {
      this.dropConnectionOn(error);
    }
  }

  call(target: Target, value: unknown, timeoutMs: number, signal: AbortSignal | null): Promise<unknown> {
    try {
      if (signal?.aborted) throw signal.reason;
      const channel = this.connection?.channel;
      const mayWaitHere = channel !== undefined && signal === null && this.isAlone && this.inline.mayWait(channel);
      const id = this.writeCall(target, value, timeLeftField(timeoutMs));
      if (mayWaitHere && this.hasAnswerHere(channel, id)) return this.takePromise(channel, target);
      return this.pend(id, target, timeoutMs, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** ClientStreamsHost: opens a stream. */
  open(target: Target, request: unknown, credit: number, onWritten: () => void): { id: number; recordCount: number; isWritten: boolean } {
    const id = this.writeCall(target, request, credit, onWritten);
    return { id, recordCount: this.lastRecordCount, isWritten: this.isLastWritten };
  }

  /** ClientStreamsHost: the reader of a stream is gone. */
  cancelStream(id: number): void {
    if (this.writer.remove(CALL, id)) return;
    this.writer.writeControl(tagOf(CANCEL, 0, 0), id, 0);
  }

  onStreamsChanged(): void {
    this.updateWaits();
  }

  onStreamOver(id: number): void {
    this.answers.forget(id);
    this.updateWaits();
  }

  /** ClientStreamsHost: the connection ends, but not in the middle of what is being done with it. */
  onFault(error: unknown): void {
    const channel = this.connection?.channel;
    if (channel === undefined) throw error;
    queueMicrotask(() => this.onHangup(channel, error as Error));
  }

  /** Encodes and writes, or queues, a call. Returns its id. */
  private writeCall(target: Target, value: unknown, aux: number, onWritten: (() => void) | null = null): number {
    if (this.isClosed) throw closedError();
    // Uploads and duplex streams have no request, in whatever codec.
    const payload = target.kind === 'upload' || target.kind === 'duplex' ? target.opening : target.codec.encode(value);
    this.checkLength(payload.end - payload.start, target);
    const id = this.nextCallId;
    this.nextCallId = id === 0xffffffff ? 1 : id + 1;
    this.counters.callsSent++;
    if (target.isIdempotent) this.lastPayload = privateCopy(payload.bytes, payload.start, payload.end);
    this.lastRecordCount = Math.max(1, Math.ceil((payload.end - payload.start) / this.memory.producer.maxPayload));
    try {
      this.isLastWritten = this.writer.write(target.tag, id, aux, payload, onWritten);
    } catch (error) {
      this.dropConnectionOn(error);
      this.isLastWritten = this.writer.write(target.tag, id, aux, payload, onWritten);
    }
    return id;
  }

  // What `pend` and `open` need to know of the payload that `writeCall` has just written.
  private lastPayload: Uint8Array | null = null;
  private lastRecordCount = 1;
  private isLastWritten = true;

  private pend(id: number, target: Target, timeoutMs: number, signal: AbortSignal | null): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call: PendingCall = {
        id,
        name: target.name,
        codec: target.codec,
        timeoutMs,
        deadline: timeoutMs === Number.POSITIVE_INFINITY ? timeoutMs : performance.now() + timeoutMs,
        resolve,
        reject,
        recordCount: this.lastRecordCount,
        payload: target.isIdempotent ? this.lastPayload : null,
        tag: target.tag,
        signal,
        onAbort: null,
      };
      if (signal !== null) {
        call.onAbort = () => {
          if (this.pending.take(id) === undefined) return;
          reject(signal.reason);
          this.cancel(call);
        };
        signal.addEventListener('abort', call.onAbort);
      }
      this.pending.add(call);
      if (this.pending.size === 1) this.updateWaits();
    });
  }

  /** Is nothing else under way? Then a call whose answer is about to come is answered without a turn of the event loop. */
  private get isAlone(): boolean {
    return this.pending.size === 0 && this.streams.size === 0 && !this.writer.hasQueue && !this.writer.isBatching;
  }

  /** Looks for the answer right here. False if it did not come in time, or something else came: then the call has to pend. */
  private hasAnswerHere({ consumer }: Channel, id: number): boolean {
    try {
      return !this.writer.hasQueue && this.inline.wait(consumer) && this.answers.isWholeReply(consumer, id);
    } catch {
      // The loop finds the same fault, and ends the connection.
      return false;
    }
  }

  private takePromise(channel: Channel, target: Target): Promise<unknown> {
    try {
      return Promise.resolve(this.takeAnswer(channel, target));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The answer on which the consumer stands. Throws what is wrong with it. */
  private takeAnswer(channel: Channel, target: Target): unknown {
    const { consumer } = channel;
    try {
      const answer = target.codec.decode(consumer, consumer.payloadOffset, consumer.payloadLength);
      this.counters.callsSucceeded++;
      return answer;
    } catch (error) {
      this.counters.callsFailed++;
      throw error;
    } finally {
      this.releaseRead(channel);
    }
  }

  /** Blocks this thread until the answer is here. */
  callSync(target: Target, value: unknown, timeoutMs: number): unknown {
    if (this.isClosed) throw closedError();
    const { connection } = this;
    if (connection === null) {
      throw new PillionError(
        'ERR_PILLION_NOT_CONNECTED',
        `callSync "${target.name}" needs a connected sidecar, because a blocked thread cannot connect: await client.ready() first`,
      );
    }
    const { channel } = connection;
    const mayWaitHere = this.isAlone && this.inline.mayWaitSync(channel);
    const id = this.writeCall(target, value, timeLeftField(timeoutMs));
    if (mayWaitHere && this.hasAnswerHere(channel, id)) return this.takeAnswer(channel, target);
    const deadline = timeoutMs === Number.POSITIVE_INFINITY ? timeoutMs : performance.now() + timeoutMs;
    if (this.writer.isBatching) {
      this.memory.producer.publish();
      channel.announce();
    }
    const outcome: { value?: unknown; error?: unknown } = {};
    this.pending.add({
      id,
      name: target.name,
      codec: target.codec,
      timeoutMs,
      deadline: Number.POSITIVE_INFINITY,
      resolve: (result) => {
        outcome.value = result;
      },
      reject: (error) => {
        outcome.error = error;
      },
      recordCount: this.lastRecordCount,
      payload: null,
      tag: target.tag,
      signal: null,
      onAbort: null,
    });
    while (this.pending.has(id)) {
      const left = deadline - performance.now();
      const state = this.readOrWaitFor(id, channel, left);
      if (state === 1) continue;
      const call = this.pending.take(id);
      if (call === undefined) break;
      if (state === 0) this.cancel(call);
      else this.counters.callsFailed++;
      throw state === 0 ? timeoutError(target.name, timeoutMs) : diedError(target.name);
    }
    if (outcome.error !== undefined) throw outcome.error;
    return outcome.value;
  }

  /** One step of callSync. A wait that is not possible takes the call back. */
  private readOrWaitFor(id: number, channel: Channel, leftMs: number): 1 | 0 | -1 {
    try {
      return this.readOrWait(channel, leftMs, false);
    } catch (error) {
      const call = this.pending.take(id);
      if (call !== undefined) this.cancel(call);
      throw error;
    }
  }

  /** EventSenderHost. */
  readOrAwaitSpace(channel: Channel, leftMs: number): 1 | 0 | -1 {
    return this.readOrWait(channel, leftMs, true);
  }

  /** One step of a blocking wait: reads what is there, else waits. Result as of Channel.wait. */
  private readOrWait(channel: Channel, leftMs: number, isForSpace: boolean): 1 | 0 | -1 {
    try {
      const { cachedHead } = this.memory.producer;
      this.memory.producer.refreshHead();
      channel.noteLook();
      this.writer.pump();
      this.checkFlushed();
      if (this.read(channel)) return 1;
      if (isForSpace) {
        if (this.memory.producer.cachedHead !== cachedHead) return 1;
        channel.waitForSpace('message');
      }
      return leftMs > 0 ? channel.wait(Math.min(leftMs, 2 ** 30), isForSpace) : 0;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.onHangup(channel, error);
      return 1;
    }
  }

  /** A nonsensical consumer position ends the connection, not the caller's work. Anything else is the caller's. */
  dropConnectionOn(error: unknown): void {
    if (!(error instanceof ProtocolError) || this.connection === null) throw error;
    this.onHangup(this.connection.channel, error);
  }

  checkLength(length: number, target: Target): void {
    if (length <= this.options.maxMessageBytes) return;
    throw new PillionError(
      'ERR_PILLION_TOO_LARGE',
      `"${target.name}" was given ${length} bytes, allowed are maxMessageBytes=${this.options.maxMessageBytes}`,
    );
  }

  /** The caller is gone: tell the handler, unless it has never heard of the call. */
  private cancel(call: PendingCall): void {
    this.counters.callsFailed++;
    this.updateWaits();
    this.cancelStream(call.id);
  }

  // --- receiving ------------------------------------------------------------------------------------------------

  private onReady(channel: Channel): void {
    if (this.connection?.channel !== channel) return;
    try {
      this.read(channel);
      this.writer.pump();
      this.checkFlushed();
    } catch (error) {
      this.onHangup(channel, error as Error);
    }
  }

  /** Reads everything there is. False if there was nothing. */
  private read(channel: Channel): boolean {
    const { consumer } = channel;
    const quarter = consumer.capacity / 4;
    let hasRead = false;
    while (this.connection?.channel === channel && consumer.next()) {
      hasRead = true;
      this.answers.read(consumer, this);
      // The rest of a large message is written while its beginning is read. Many small ones are better released together.
      if (consumer.heldBytes >= quarter && !this.answers.isBetweenMessages) this.releaseRead(channel);
    }
    if (!hasRead) return false;
    channel.expectRest(!this.answers.isBetweenMessages);
    const { pushCount } = this.answers;
    if (pushCount !== this.notedPushes) {
      channel.noteEvents(pushCount - this.notedPushes);
      this.notedPushes = pushCount;
    }
    this.releaseRead(channel);
    if (this.pending.size === 0) this.updateWaits();
    return true;
  }

  private releaseRead(channel: Channel): void {
    // What was done with a message may have ended the connection.
    if (this.connection?.channel !== channel) return;
    channel.consumer.release(channel.consumer.readPosition);
    channel.settle();
  }

  /** AnswerReader's findings. */
  onAnswer(id: number, decode: (codec: PayloadCodec) => unknown): void {
    const call = this.pending.take(id);
    if (call === undefined) {
      this.streams.onReply(id, ({ codec }) => decode(codec));
      return;
    }
    let value: unknown;
    try {
      value = decode(call.codec);
    } catch (error) {
      this.counters.callsFailed++;
      call.reject(error);
      return;
    }
    this.counters.callsSucceeded++;
    call.resolve(value);
  }

  onError(id: number, error: Error): void {
    if (this.streams.onError(id, error)) return;
    this.counters.callsFailed++;
    this.pending.take(id)?.reject(error);
  }

  onPing(consumer: RingConsumer): void {
    if (this.writer.queuedCount > MAX_QUEUED_PONGS + this.pending.size + 2 * this.streams.size)
      throw new ProtocolError('the server pings, but does not read the answers');
    const bytes = copyOut(consumer, consumer.payloadOffset, consumer.payloadLength);
    this.writer.writeControl(tagOf(PONG, 0, 0), consumer.correlationId, consumer.aux, stable(bytes));
  }

  onGoodbye(): void {
    this.isLeftInOrder = true;
  }

  isPending(id: number): boolean {
    return this.pending.has(id) || this.streams.has(id);
  }

  // --- waiting --------------------------------------------------------------------------------------------------

  /** Resolves when there is a connection. */
  ready(options: WaitOptions): Promise<void> {
    if (this.isClosed) return Promise.reject(closedError());
    if (this.connection !== null) return Promise.resolve();
    return this.readyWaiters.add(0, options);
  }

  /** Resolves when everything accepted so far has been handled. */
  flush(options: WaitOptions): Promise<void> {
    if (this.isClosed) return Promise.reject(closedError());
    // A dozing sidecar would look by itself before long, but here somebody waits.
    this.connection?.channel.announce();
    // What waits in the queue has no position yet: everybody then waits for the end of the queue.
    this.isFlushBehindQueue ||= this.writer.hasQueue;
    const promise = this.flushWaiters.add(this.memory.producer.producerPosition | 0, options);
    try {
      this.checkFlushed();
    } catch (error) {
      this.dropConnectionOn(error);
    }
    return promise;
  }

  private checkFlushed(): void {
    if (this.flushWaiters.size === 0) return;
    const { producer } = this.memory;
    if (this.isFlushBehindQueue) {
      if (this.writer.hasQueue) return;
      this.isFlushBehindQueue = false;
      this.flushWaiters.moveTo(producer.producerPosition | 0);
    }
    producer.refreshHead();
    this.flushWaiters.resolveUpTo(producer.cachedHead);
    this.updateWaits();
  }

  /** Tells the channel what is waited for, and the process whether it may end. */
  private updateWaits(): void {
    const isWaiting = this.pending.size > 0 || this.flushWaiters.size > 0 || this.streams.size > 0;
    const isAlive =
      this.pending.size > 0 ||
      this.flushWaiters.size > 0 ||
      this.streams.referencedCount > 0 ||
      this.readyWaiters.size > 0 ||
      this.events.isWaiting;
    const channel = this.connection?.channel;
    if (channel !== undefined) {
      channel.waitForSpace(this.writer.hasQueue ? 'message' : this.flushWaiters.size > 0 || this.writer.wantsSpace ? 'flush' : 'no');
      channel.expectArrival(isWaiting);
      channel.keepAlive(isAlive);
    }
    if (isAlive === this.isAlive) return;
    this.isAlive = isAlive;
    this.connector.keepAlive(isAlive);
  }

  // --- connections ----------------------------------------------------------------------------------------------

  /** ConnectorHost. */
  onConnected(connection: Connection): void {
    const { channel, fallbackReason } = connection;
    this.connection = connection;
    this.isLeftInOrder = false;
    this.endReason = null;
    this.counters.connections++;
    this.answers.reset();
    channel.listen({ onReady: () => this.onReady(channel), onHangup: (error) => this.onHangup(channel, error ?? null) });
    this.writer.useChannel(channel);
    channel.announce();
    this.readyWaiters.settleAll(null);
    this.updateWaits();
    try {
      // The server may be through with everything already, and then no further news comes.
      this.checkFlushed();
    } catch (error) {
      this.onHangup(channel, error as Error);
      return;
    }
    if (fallbackReason !== undefined) this.listener.onFallback(fallbackReason);
    this.listener.onConnect();
  }

  onDescriptorLost(mayHaveRead: boolean): void {
    this.renewMemory(this.createMemory(), mayHaveRead);
  }

  moveToPrivateMemory(reason: string): void {
    this.renewMemory(privateMemory(reason, this.options.ringBytes, this.options.arenaBytes), false);
  }

  /** The server is gone. What it had answered is still read; what it had not released goes to the next one. */
  private onHangup(channel: Channel, error: Error | null): void {
    const { connection } = this;
    if (connection?.channel !== channel) return;
    let reason = error;
    try {
      channel.consumer.seal();
      this.read(channel);
      this.checkFlushed();
    } catch (fault) {
      reason ??= fault as Error;
    }
    this.counters.doorbells += channel.doorbellCount;
    this.connection = null;
    this.endReason = reason;
    this.writer.useChannel(null);
    channel.close();
    this.pushes.onDisconnect();
    this.renewMemory(this.createMemory(), !this.isLeftInOrder || reason !== null);
    this.updateWaits();
    this.listener.onDisconnect(reason);
    if (!this.isClosed) void this.connector.reconnect(reason !== null);
  }

  private renewMemory(next: ClientMemory, mayHaveRead: boolean): void {
    const old = this.memory;
    try {
      old.producer.refreshHead();
    } catch (error) {
      // A head that cannot be: what was released by the last one that could be is not sent again.
      this.endReason ??= error as Error;
    }
    this.memory = next;
    // Everything else in the queue belongs to a conversation that is over.
    this.writer.keepOnly(({ tag }) => kindOf(tag) === CALL || kindOf(tag) === END);
    const { events, isKept } = carryOver(old, next, {
      names: this.options.hello.names,
      pending: this.pending,
      streams: this.streams,
      writer: this.writer,
      claims: this.claims,
      mayHaveRead,
      onLost: (call) => {
        this.pending.take(call.id);
        this.counters.callsFailed++;
        call.reject(diedError(call.name));
      },
    });
    if (this.counters.connections > 0) this.counters.eventsReplayed += events;
    this.streams.failAll(streamDiedError, isKept);
    this.flushWaiters.moveTo(next.producer.producerPosition | 0);
    // What the old server had released is room for those who wait, whether or not there is a new one.
    this.writer.pump();
  }

  // --- end ------------------------------------------------------------------------------------------------------

  close(error: PillionError = closedError()): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.connector.close();
    const { connection } = this;
    this.connection = null;
    this.writer.useChannel(null);
    if (connection !== null) {
      this.counters.doorbells += connection.channel.doorbellCount;
      connection.channel.close();
    }
    this.events.close(error);
    this.pushes.onDisconnect();
    this.streams.failAll(() => error);
    this.pending.rejectAll(() => error);
    this.readyWaiters.settleAll(error);
    this.flushWaiters.settleAll(error);
    this.memory.segment?.close();
    this.claims.close();
  }

  /** Why there is no connection, as far as is known. */
  get lastError(): Error | null {
    return this.connection !== null ? null : (this.connector.lastError ?? this.endReason);
  }

  get pendingCount(): number {
    return this.pending.size;
  }

  get doorbells(): number {
    return this.counters.doorbells + (this.connection?.channel.doorbellCount ?? 0);
  }

  get arenaUsedBytes(): number {
    if (this.isClosed) return 0;
    this.claims.reclaim();
    return this.memory.arena?.usedBytes ?? 0;
  }

  get bufferedBytes(): number {
    if (this.isClosed) return 0;
    try {
      this.memory.producer.refreshHead();
    } catch {
      noop();
    }
    return this.memory.producer.usedBytes;
  }
}

function closedError(): PillionError {
  return new PillionError('ERR_PILLION_CLOSED', 'the client is closed');
}

function diedError(name: string): PillionError {
  return new PillionError(
    'ERR_PILLION_PEER_DIED',
    `the sidecar ended while call "${name}" was in flight: it may or may not have been carried out (declare the method idempotent to have it retried)`,
  );
}

function streamDiedError(name: string): PillionError {
  return new PillionError('ERR_PILLION_PEER_DIED', `the sidecar ended in the middle of stream "${name}"`);
}
