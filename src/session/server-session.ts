import { allocateBlock } from '../channel/blocks.js';
import type { Channel } from '../channel/channel.js';
import type { Peer } from '../channel/peer.js';
import { debug, type HandleMessage, handling } from '../diagnostics.js';
import { PillionError, ProtocolError } from '../errors.js';
import { copyOut, type PayloadCodec } from '../protocol/codec.js';
import { type Reassembled, Reassembly } from '../protocol/fragments.js';
import {
  CALL,
  CANCEL,
  CREDIT,
  checkControlLength,
  checkCredit,
  checkTag,
  END,
  ERROR,
  type ErrorPayload,
  EVENT,
  flagsOf,
  GOODBYE,
  ITEM,
  kindOf,
  LOAN,
  META,
  MORE,
  PING,
  PONG,
  REDELIVERED,
  REPLY,
  tagOf,
  targetOf,
} from '../protocol/frame.js';
import type { RingConsumer } from '../ring/consumer.js';
import type { newServerCounters } from '../stats.js';
import { isThenable, settleWith } from '../thenable.js';
import { parseError } from './answer-reader.js';
import { Lender, type Stay } from './borrow.js';
import { FrameWriter, NOTHING, stable } from './frame-writer.js';
import { Context, type HandlerContext } from './handler-context.js';
import { errorPayload } from './handler-result.js';
import type { ItemFormat } from './item-sender.js';
import { isLent, type LendingRoute, type Message, PayloadReader } from './payload-reader.js';
import { type PushTarget, PushWriter } from './push-writer.js';
import { type Held, ReleaseQueue } from './release-queue.js';
import type { Handler, Route } from './route.js';
import { type Opening, ServerStreams } from './server-streams.js';
import { type WaitingCall, WaitingCalls } from './waiting-calls.js';

/** Records handled before the ring's space is given back and others get their turn. */
const BATCH = 256;

/** Loads of `tail` before the addon waits on: about 1 us. */
const LOOKS = 1000;
/** How many records are read without asking the addon whether others are due. */
const RECORDS_PER_SPIN = 64;

/** Kinds of names that no client may call. */
const uncalledKinds = new Set(['event', 'state', 'broadcast']);

const wholeItemTag = tagOf(ITEM, 0, 0);
const replyTag = tagOf(REPLY, 0, 0);
const errorTag = tagOf(ERROR, 0, 0);

export interface ServerSessionOptions {
  channel: Channel;
  contractName: string;
  peer: Peer;
  clientId: string;
  routes: readonly Route[];
  maxMessageBytes: number;
  /** Replies waiting for a client that does not read; beyond this its requests are not read either. */
  maxQueuedBytes: number;
  /** Calls and streams at work at once. */
  concurrency: number;
  /** Streams that the client may have open, or waiting for their turn. */
  maxOpenStreams: number;
  windowBytes: number;
  /** What of ours the client knows, by name. */
  pushTargets: ReadonlyMap<string, PushTarget>;
  exposeStacks: boolean;
  checksViews: boolean;
  counters: ReturnType<typeof newServerCounters>;
  onHandlerError(error: unknown, name: string, context: HandlerContext): void;
  onEnd(error: Error | null): void;
}

/** One client's conversation at the server: reads its ring, runs the handlers, writes the answers. */
export class ServerSession {
  readonly peer: Peer;
  readonly clientId: string;
  readonly channel: Channel;
  private readonly options: ServerSessionOptions;
  private readonly routes: readonly LendingRoute[];
  private readonly writer: FrameWriter;
  private readonly releases: ReleaseQueue;
  private readonly payloads: PayloadReader;
  private readonly reassembly: Reassembly;
  /** Calls whose handlers are at work, by correlation id. */
  private readonly running = new Map<number, Context>();
  private readonly streams: ServerStreams;
  readonly pushes: PushWriter;
  private readonly waiting = new WaitingCalls();
  private isEnded = false;
  private isLeaving = false;
  /** The client is gone: what it had published is handled, but nobody reads answers. */
  private isHungUp = false;
  private isReading = false;
  private isGoodbyeWritten = false;
  private isPaused = false;
  /** Did a handler of this batch go on asynchronously? Then its microtasks need the event loop. */
  private isAsync = false;
  private eventsInBatch = 0;
  private recordsLeft = 0;
  private onIdle: (() => void) | null = null;
  constructor(options: ServerSessionOptions) {
    this.options = options;
    this.routes = options.routes.map((route) => ({ ...route, lender: new Lender(route.name, options) }));
    this.peer = options.peer;
    this.clientId = options.clientId;
    this.channel = options.channel;
    this.writer = new FrameWriter(this.channel.producer, (isBlocked) => this.channel.waitForSpace(isBlocked ? 'message' : 'no'));
    this.releases = new ReleaseQueue(this.channel.consumer.readPosition);
    this.payloads = new PayloadReader(this.channel.consumer, options.maxMessageBytes);
    this.reassembly = new Reassembly(options.maxMessageBytes, allocateBlock);
    this.pushes = new PushWriter({
      writer: this.writer,
      targets: options.pushTargets,
      maxMessageBytes: options.maxMessageBytes,
      announce: () => this.channel.announceEvents(),
      onReplaced: () => this.options.counters.broadcastsDropped++,
      onFault: (error) => this.end(error as Error),
    });
    this.streams = new ServerStreams({
      writer: this.writer,
      windowBytes: options.windowBytes,
      reply: ({ id, route, context }, value) => this.reply(route, id, value, context),
      fail: ({ id, route, context }, error) => this.fail(route, id, error, context),
      refuse: ({ id }, error) => this.replyError(id, errorPayload(error, false)),
      onFault: (error) => this.end(error as Error),
      trace: ({ route, context }, work) => (handling.hasSubscribers ? handling.trace(this.handleMessage(route, context), work) : work()),
      onStreamOver: (id) => this.onStreamOver(id),
    });
    this.channel.listen({ onReady: () => this.onReady(), onHangup: (error) => this.onHangup(error ?? null) });
    this.writer.useChannel(this.channel);
    this.channel.expectArrival(true);
  }

  /** Bytes that wait for the client to read. */
  get queuedBytes(): number {
    return this.writer.queuedBytes;
  }

  get openStreamCount(): number {
    return this.streams.size;
  }

  get waitingCount(): number {
    return this.waiting.size;
  }

  // --- reading --------------------------------------------------------------------------------------------------

  /** Something can be read or written, or may be. */
  onReady(): void {
    if (this.isEnded || this.isReading) return;
    try {
      this.writer.pump();
      if (this.isPaused) this.updatePause();
      this.read();
      this.checkIdle();
    } catch (error) {
      this.end(error as Error);
    }
  }

  /**
   * Handles a batch; while handlers are synchronous and the next request is about to come, the next batch as well, because entering JavaScript anew costs
   * more than a microsecond's wait.
   */
  private read(): void {
    do {
      this.isAsync = false;
      const count = this.readBatch(BATCH);
      this.recordsLeft -= count;
      if (count === 0 || this.isEnded || this.isAsync || this.isPaused || this.isLeaving) return;
    } while (this.awaitNext());
  }

  /** Waits a little for the next request, where that pays. Looking from here saves the way into the addon and back; only the addon knows whether it pays, and when others are due. */
  private awaitNext(): boolean {
    const { consumer } = this.channel;
    if (this.recordsLeft > 0) {
      for (let look = 0; look < LOOKS; look++) if (consumer.hasNext()) return true;
    }
    const isNext = this.channel.spin();
    this.recordsLeft = isNext ? RECORDS_PER_SPIN : 0;
    return isNext;
  }

  /** Returns how many records were read, whatever became of them; 0 when the conversation has ended. */
  private readBatch(limit: number): number {
    const { consumer } = this.channel;
    const quarter = consumer.capacity / 4;
    let count = 0;
    this.isReading = true;
    this.eventsInBatch = 0;
    try {
      while (count < limit && !this.isEnded && !this.isPaused && !this.isLeaving && consumer.next()) {
        count++;
        this.dispatch(consumer);
        if ((this.releases.releasable - consumer.releasedPosition) >>> 0 >= quarter) this.release();
      }
    } finally {
      this.isReading = false;
    }
    if (this.isEnded) return 0;
    this.channel.expectRest(!this.reassembly.isEmpty);
    if (this.eventsInBatch > 0) this.channel.noteEvents(this.eventsInBatch);
    this.release();
    return count;
  }

  private release(): void {
    this.channel.consumer.release(this.releases.releasable);
    this.channel.settle();
  }

  private dispatch(consumer: RingConsumer): void {
    const { tag } = consumer;
    if (tag === wholeItemTag && this.reassembly.isEmpty) {
      this.readItem(consumer, false);
      return;
    }
    checkTag(tag, 'client');
    switch (kindOf(tag)) {
      case EVENT:
        this.readEvent(consumer, tag);
        break;
      case CALL:
        this.readCall(consumer, tag);
        break;
      case ITEM:
        this.readItem(consumer, (flagsOf(tag) & MORE) !== 0);
        break;
      case ERROR:
        this.readError(consumer);
        break;
      case CANCEL:
        checkControlLength(tag, consumer.payloadLength);
        this.releases.pass(consumer.readPosition);
        this.cancel(consumer.correlationId >>> 0);
        break;
      case END:
        checkControlLength(tag, consumer.payloadLength);
        this.releases.pass(consumer.readPosition);
        this.isAsync = true;
        if (this.reassembly.has(ITEM, consumer.correlationId) && this.streams.has(consumer.correlationId >>> 0))
          throw new ProtocolError('the end of a stream came in the middle of an item');
        this.streams.onEnd(consumer.correlationId >>> 0);
        break;
      case CREDIT:
        checkControlLength(tag, consumer.payloadLength);
        this.releases.pass(consumer.readPosition);
        checkCredit(consumer.correlationId, consumer.aux);
        this.isAsync = true;
        this.streams.onCredit(consumer.correlationId >>> 0, consumer.aux);
        break;
      case PING: {
        checkControlLength(tag, consumer.payloadLength);
        const bytes = copyOut(consumer, consumer.payloadOffset, consumer.payloadLength);
        this.writer.writeControl(tagOf(PONG, 0, 0), consumer.correlationId, consumer.aux, stable(bytes));
        this.releases.pass(consumer.readPosition);
        this.updatePause();
        break;
      }
      default:
        checkControlLength(tag, consumer.payloadLength);
        this.releases.pass(consumer.readPosition);
    }
  }

  private routeOf(tag: number): LendingRoute {
    const route = this.routes[targetOf(tag)];
    if (route === undefined) throw new ProtocolError(`target ${targetOf(tag)} is not in the client's name table`);
    const isEvent = kindOf(tag) === EVENT;
    if (isEvent ? route.kind !== 'event' : uncalledKinds.has(route.kind))
      throw new ProtocolError(`"${route.name}" is a ${route.kind}, but was used as ${isEvent ? 'event' : 'method'}`);
    return route;
  }

  private cancel(id: number): void {
    const reason = new PillionError('ERR_PILLION_CLOSED', 'the caller has cancelled');
    this.reassembly.drop(CALL, id);
    this.running.get(id)?.abort(reason);
    this.streams.onCancel(id, reason);
    if (this.waiting.take(id) !== undefined) this.updatePause();
  }

  private readItem(consumer: RingConsumer, hasMore: boolean): void {
    const id = consumer.correlationId >>> 0;
    const { payloadOffset, payloadLength, aux } = consumer;
    this.releases.pass(consumer.readPosition);
    this.isAsync = true;
    const isContinued = this.reassembly.has(ITEM, id);
    if (isContinued ? !this.streams.has(id) : !this.streams.beginItem(id)) {
      this.reassembly.drop(ITEM, id);
      return;
    }
    if (!hasMore && !isContinued) this.takeItem(consumer, id, payloadOffset, payloadLength);
    else this.takeFragment(consumer, id, aux, payloadOffset, payloadLength);
  }

  private takeItem(consumer: RingConsumer, id: number, offset: number, length: number): void {
    this.streams.onItem(id, length, ({ name, codec }) => {
      if (length > this.options.maxMessageBytes) throw this.itemTooLarge(name);
      return codec.decode(consumer, offset, length);
    });
  }

  private takeFragment(consumer: RingConsumer, id: number, aux: number, offset: number, length: number): void {
    const message = this.reassembly.add(consumer.tag, id, aux, consumer, offset, length);
    if (message !== null) this.takeMessage(id, message);
  }

  private takeMessage(id: number, { bytes, length }: Reassembled): void {
    this.streams.onItem(id, length, ({ name, codec }) => {
      if (bytes === null) throw this.itemTooLarge(name);
      return codec.decodeOwned(bytes);
    });
  }

  private itemTooLarge(name: string): PillionError {
    const { maxMessageBytes } = this.options;
    return new PillionError(
      'ERR_PILLION_TOO_LARGE',
      `an item of "${name}" is longer than the sidecar's maxMessageBytes=${maxMessageBytes}`,
    );
  }

  /** The source of an upload failed. */
  private readError(consumer: RingConsumer): void {
    const id = consumer.correlationId >>> 0;
    const hasMore = (flagsOf(consumer.tag) & MORE) !== 0;
    this.releases.pass(consumer.readPosition);
    if (!this.streams.has(id)) {
      this.reassembly.drop(ERROR, id);
      return;
    }
    const { payloadOffset, payloadLength, aux } = consumer;
    let bytes: Uint8Array | null;
    if (hasMore || this.reassembly.has(ERROR, id)) {
      const message = this.reassembly.add(consumer.tag, id, aux, consumer, payloadOffset, payloadLength);
      if (message === null) return;
      bytes = message.bytes;
    } else {
      bytes = copyOut(consumer, payloadOffset, payloadLength);
    }
    this.isAsync = true;
    const error = bytes === null ? new PillionError('ERR_PILLION_TOO_LARGE', 'the error of the source is too long') : parseError(bytes);
    this.streams.onError(id, error);
  }

  private readEvent(consumer: RingConsumer, tag: number): void {
    const route = this.routeOf(tag);
    const flags = flagsOf(tag);
    const sequence = consumer.correlationId;
    const { payloadOffset, payloadLength, readPosition } = consumer;
    if ((flags & LOAN) !== 0) {
      const loan = this.channel.loans.read(consumer);
      if (this.reassembly.has(EVENT, sequence)) throw new ProtocolError('a loan cannot be the rest of a message');
      this.handleEvent(route, flags, sequence, readPosition, loan);
      return;
    }
    if ((flags & MORE) === 0 && (this.reassembly.isEmpty || !this.reassembly.has(EVENT, sequence))) {
      this.handleEvent(route, flags, sequence, readPosition, null);
      return;
    }
    const message = this.reassembly.add(tag, sequence, consumer.aux, consumer, payloadOffset, payloadLength);
    // A fragment keeps its place until its event is handled: the last one's release covers those before.
    if (message !== null) this.handleEvent(route, flags, sequence, readPosition, message);
  }

  /** Carries out a message, or without one the record that the consumer stands on. Throws what is wrong with it. */
  private invoke(route: LendingRoute, handler: Handler, flags: number, message: Message, context: Context): unknown {
    // A loan has no headers; what lies behind headers is not borrowed, but copied.
    const offset = (flags & META) === 0 || isLent(message) ? 0 : this.payloads.takeHeaders(route, message, context);
    if (handling.hasSubscribers)
      return handling.trace(this.handleMessage(route, context), () =>
        handler(this.payloads.payloadOf(route, message, offset, context), context),
      );
    return handler(this.payloads.payloadOf(route, message, offset, context), context);
  }

  private handleMessage({ name, kind }: Route, { headers, clientId, peer, redelivered, sequence }: Context): HandleMessage {
    const { contractName: contract } = this.options;
    return { contract, name, kind: kind as HandleMessage['kind'], headers, clientId, peer, redelivered, sequence, isAsync: false };
  }

  private handleEvent(route: LendingRoute, flags: number, sequence: number, end: number, message: Message): void {
    const { counters } = this.options;
    this.eventsInBatch++;
    if (route.handler === null) {
      counters.eventsUnknown++;
      this.releases.pass(end);
      return;
    }
    const isRedelivered = (flags & REDELIVERED) !== 0;
    counters.eventsHandled++;
    if (isRedelivered) counters.eventsRedelivered++;
    const context = new Context(this.peer, this.clientId, isRedelivered, sequence >>> 0, 0, route.lender);
    let result: unknown;
    try {
      result = this.invoke(route, route.handler, flags, message, context);
    } catch (error) {
      this.onHandlerError(error, route.name, context);
    }
    const isPending = isThenable(result);
    if (!isPending && context.finish()) {
      this.releases.pass(end);
      return;
    }
    const held = this.releases.hold(end);
    if (isPending) this.awaitHandler(result as PromiseLike<unknown>, route, context, held);
    else this.finishLater(context.stay as Stay, held);
  }

  private awaitHandler(result: PromiseLike<unknown>, route: Route, context: Context, held: Held): void {
    this.isAsync = true;
    settleWith(
      result,
      () => this.settleEvent(context, held),
      (error) => {
        this.onHandlerError(error, route.name, context);
        this.settleEvent(context, held);
      },
    );
  }

  private settleEvent(context: Context, held: Held): void {
    if (context.finish()) this.finishEvent(held);
    else this.finishLater(context.stay as Stay, held);
  }

  /** Somebody has retained it. What waits for them must not lead to the context, or to the view. */
  private finishLater(stay: Stay, held: Held): void {
    stay.onOver = () => this.finishEvent(held);
  }

  private finishEvent(held: Held): void {
    if (!this.releases.finish(held) || this.isEnded) return;
    // Inside a batch its end releases; between batches nobody else would.
    if (!this.isReading) this.release();
    this.checkIdle();
  }

  private readCall(consumer: RingConsumer, tag: number): void {
    const route = this.routeOf(tag);
    const id = consumer.correlationId >>> 0;
    const flags = flagsOf(tag);
    const hasMore = (flags & MORE) !== 0;
    const { payloadOffset, payloadLength, aux } = consumer;
    if (payloadLength > 0 && (flagsOf(tag) & META) === 0 && (route.kind === 'upload' || route.kind === 'duplex'))
      throw new ProtocolError(`"${route.name}" is opened without a request, but came with ${payloadLength} bytes`);
    if (aux < 0 && (route.kind === 'stream' || route.kind === 'duplex') && !this.reassembly.has(CALL, id))
      throw new ProtocolError(`"${route.name}" was opened with a credit of ${aux >>> 0} bytes, which cannot be`);
    this.releases.pass(consumer.readPosition);
    if (!hasMore && (this.reassembly.isEmpty || !this.reassembly.has(CALL, id))) {
      this.takeCall(route, flags, id, aux, null);
      return;
    }
    const message = this.reassembly.add(tag, id, aux, consumer, payloadOffset, payloadLength);
    if (message !== null) this.takeCall(route, flags, id, message.aux, message);
  }

  private takeCall(route: LendingRoute, flags: number, id: number, aux: number, message: Reassembled | null): void {
    if (id === 0 || this.running.has(id) || this.streams.has(id) || this.waiting.has(id))
      throw new ProtocolError(`correlation id ${id} is ${id === 0 ? 'not allowed' : 'in use'}`);
    if (route.handler === null) {
      this.replyError(id, { code: 'ERR_PILLION_UNKNOWN_NAME', message: route.problem });
    } else if (route.kind !== 'method' && this.streams.size + this.waiting.streamCount >= this.options.maxOpenStreams) {
      this.refuse(id, `the client has ${this.options.maxOpenStreams} streams open, which is what the sidecar allows`);
    } else if (this.isBusy || this.waiting.size > 0) {
      this.postpone(route, flags, id, aux, message);
    } else {
      this.startCall(route, route.handler, flags, id, aux, message);
    }
  }

  private refuse(id: number, message: string): void {
    this.replyError(id, { code: 'ERR_PILLION_BUSY', message });
  }

  private get isBusy(): boolean {
    return this.running.size + this.streams.size >= this.options.concurrency;
  }

  private postpone(route: LendingRoute, flags: number, id: number, aux: number, message: Reassembled | null): void {
    if (this.hasTooMuchWaiting && this.streams.size > 0) {
      this.refuse(id, `${this.waiting.size} calls wait for their turn`);
      return;
    }
    const { consumer } = this.channel;
    const { payloadOffset, payloadLength } = consumer;
    const own = message ?? {
      bytes: payloadLength > this.options.maxMessageBytes ? null : copyOut(consumer, payloadOffset, payloadLength),
      length: payloadLength,
      aux,
    };
    this.waiting.add({ route, flags, id, aux, message: own });
    this.updatePause();
  }

  /** Streams end whenever their handlers do, where nobody would catch what the next call finds wrong with the client. */
  private onStreamOver(id: number): void {
    // What has arrived of an item: the client need not send the rest.
    this.reassembly.drop(ITEM, id);
    this.reassembly.drop(ERROR, id);
    try {
      this.onWorkDone();
    } catch (error) {
      this.end(error as Error);
    }
  }

  private get hasTooMuchWaiting(): boolean {
    return this.waiting.bytes > this.options.maxQueuedBytes;
  }

  /** Something that counted against the limit has ended. */
  private onWorkDone(): void {
    for (const id of this.waiting.ids()) {
      if (this.isEnded || this.isBusy) break;
      const call = this.waiting.take(id) as WaitingCall;
      this.startCall(call.route, call.route.handler as Handler, call.flags, call.id, call.aux, call.message);
    }
    if (this.isPaused || this.waiting.size > 0) this.updatePause();
    this.checkIdle();
  }

  private startCall(route: LendingRoute, handler: Handler, flags: number, id: number, aux: number, message: Reassembled | null): void {
    if (route.kind === 'method') this.handleCall(route, handler, flags, id, aux, message);
    else if (this.isLeaving) this.replyError(id, { code: 'ERR_PILLION_CLOSED', message: 'the sidecar is leaving' });
    else this.openStream(route, handler, flags, id, aux, message);
  }

  private openStream(route: Route, handler: Handler, flags: number, id: number, credit: number, message: Reassembled | null): void {
    const kind = route.kind as Opening['kind'];
    if (this.isLeaving) {
      // It had waited for its turn, and could go on for ever.
      this.replyError(id, { code: 'ERR_PILLION_CLOSED', message: 'the sidecar is leaving' });
      return;
    }
    this.options.counters.streamsHandled++;
    const context = new Context(this.peer, this.clientId, false, id, 0, null);
    this.isAsync = true;
    let request: unknown;
    try {
      const offset = (flags & META) === 0 ? 0 : this.payloads.takeHeaders(route, message, context);
      if (kind === 'stream') request = this.payloads.decode(route, message, offset);
    } catch (error) {
      this.fail(route, id, error, context);
      return;
    }
    const { name, codec, checkItem } = route;
    const format: ItemFormat = { name, codec: codec as PayloadCodec, maxMessageBytes: this.options.maxMessageBytes, check: checkItem };
    debug('%s: client %s opened %s "%s"', this.options.contractName, this.clientId, kind, name);
    this.streams.open({ id, kind, route, format, handler, request, credit, context });
  }

  private handleCall(
    route: LendingRoute,
    handler: Handler,
    flags: number,
    id: number,
    timeoutMs: number,
    message: Reassembled | null,
  ): void {
    this.options.counters.callsHandled++;
    const context = new Context(this.peer, this.clientId, false, id, timeoutMs >>> 0, null);
    let result: unknown;
    try {
      result = this.invoke(route, handler, flags, message, context);
    } catch (error) {
      this.fail(route, id, error, context);
      return;
    }
    if (!isThenable(result)) {
      this.reply(route, id, result, context);
      return;
    }
    this.isAsync = true;
    this.running.set(id, context);
    settleWith(
      result,
      (value) => this.settle(id, () => this.reply(route, id, value, context)),
      (error: unknown) => this.settle(id, () => this.fail(route, id, error, context)),
    );
  }

  /** A handler that went on asynchronously is done. */
  private settle(id: number, answer: () => void): void {
    this.running.delete(id);
    if (this.isEnded) return;
    try {
      answer();
      this.onWorkDone();
    } catch (error) {
      this.end(error as Error);
    }
  }

  // --- answering ------------------------------------------------------------------------------------------------

  private reply(route: Route, id: number, value: unknown, context: Context): void {
    if (this.isHungUp) return;
    try {
      const payload = (route.codec as PayloadCodec).encode(value);
      const length = payload.end - payload.start;
      if (length > this.options.maxMessageBytes) {
        throw new PillionError(
          'ERR_PILLION_TOO_LARGE',
          `the answer to "${route.name}" has ${length} bytes, allowed are ${this.options.maxMessageBytes}`,
        );
      }
      this.writer.write(replyTag, id, 0, payload);
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      this.fail(route, id, error, context);
      return;
    }
    if (this.writer.hasQueue) this.updatePause();
  }

  private fail(route: Route, id: number, error: unknown, context: Context): void {
    this.onHandlerError(error, route.name, context);
    this.replyError(id, errorPayload(error, this.options.exposeStacks));
  }

  private replyError(id: number, payload: ErrorPayload): void {
    if (this.isHungUp) return;
    const bytes = Buffer.from(JSON.stringify(payload));
    this.writer.write(errorTag, id, 0, { bytes, words: null, start: 0, end: bytes.length, isStable: true });
    if (this.writer.hasQueue) this.updatePause();
  }

  private onHandlerError(error: unknown, name: string, context: Context): void {
    this.options.counters.handlerErrors++;
    this.options.onHandlerError(error, name, context);
  }

  /**
   * A client that does not read its answers is not asked for more requests, nor one whose calls wait for their turn; unless a stream is at work, whose items, credit and
   * cancellation are behind them: then further calls are refused.
   */
  private updatePause(): void {
    if (this.isHungUp || this.isLeaving) return;
    const isPaused = this.writer.queuedBytes > this.options.maxQueuedBytes || (this.hasTooMuchWaiting && this.streams.size === 0);
    if (isPaused === this.isPaused) return;
    this.isPaused = isPaused;
    this.channel.pause(isPaused);
  }

  // --- end ------------------------------------------------------------------------------------------------------

  /** Takes no further request, and resolves when everything taken is done and answered and GOODBYE, the last frame, has said so. */
  leave(): Promise<void> {
    if (this.isEnded) return Promise.resolve();
    this.isLeaving = true;
    this.channel.pause(true);
    const reason = new PillionError('ERR_PILLION_CLOSED', 'the sidecar is leaving');
    // What could go on for ever does not keep us.
    this.streams.cancelAll(reason, true);
    return new Promise((resolve) => {
      this.onIdle = resolve;
      this.checkIdle();
    });
  }

  /** Calls back when nobody looks at the memory of this connection any more. */
  whenReturned(callback: () => void): void {
    this.payloads.whenReturned(callback);
  }

  private checkIdle(): void {
    const { onIdle } = this;
    if (onIdle === null) return;
    if (!this.isEnded) {
      if (this.running.size > 0 || this.waiting.size > 0 || this.releases.hasHeld || this.writer.hasQueue || !this.hasSaidGoodbye()) return;
    }
    this.onIdle = null;
    onIdle();
  }

  /** False while there is no space for it. */
  private hasSaidGoodbye(): boolean {
    if (!this.isGoodbyeWritten) {
      this.isGoodbyeWritten = true;
      try {
        // First the head: GOODBYE vouches for it.
        this.release();
        this.pushes.close();
        this.writer.write(tagOf(GOODBYE, 0, 0), 0, 0, NOTHING);
      } catch (error) {
        this.end(error as Error);
      }
    }
    return !this.writer.hasQueue;
  }

  /** The client is gone. What it had published is still handled, before anybody hears of the end. */
  private onHangup(error: Error | null): void {
    if (this.isEnded) return;
    let reason = error;
    try {
      this.isPaused = false;
      this.isHungUp = true;
      this.channel.consumer.seal();
      while (!this.isEnded && !this.isLeaving && this.readBatch(BATCH) > 0);
    } catch (fault) {
      reason ??= fault as Error;
    }
    this.end(reason);
  }

  /** Ends the conversation at once. Handlers still at work see their signal aborted; their answers go nowhere. */
  end(error: Error | null): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.pushes.close();
    this.options.counters.doorbells += this.channel.doorbellCount;
    this.channel.close();
    const reason = new PillionError(
      'ERR_PILLION_PEER_DIED',
      error === null ? 'the client is gone' : `the connection was closed: ${error.message}`,
    );
    for (const context of this.running.values()) context.abort(reason);
    this.running.clear();
    this.waiting.clear();
    this.streams.cancelAll(reason, false);
    this.checkIdle();
    this.options.onEnd(error);
  }
}
