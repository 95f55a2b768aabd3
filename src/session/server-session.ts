import type { Channel } from '../channel/channel.js';
import type { LentPayload } from '../channel/loans.js';
import type { Peer } from '../channel/peer.js';
import { PillionError, ProtocolError } from '../errors.js';
import { copyOut, type PayloadCodec } from '../protocol/codec.js';
import { type Reassembled, Reassembly } from '../protocol/fragments.js';
import {
  CALL,
  CANCEL,
  checkControlLength,
  checkTag,
  ERROR,
  type ErrorPayload,
  EVENT,
  flagsOf,
  GOODBYE,
  kindOf,
  LOAN,
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
import { Lender, type Stay } from './borrow.js';
import { FrameWriter, NOTHING } from './frame-writer.js';
import { Context, type HandlerContext } from './handler-context.js';
import { errorPayload, isThenable, settleWith } from './handler-result.js';
import { type Held, ReleaseQueue } from './release-queue.js';

/** Records handled before the ring's space is given back and others get their turn. */
const BATCH = 256;

function isLent(message: Reassembled | LentPayload | null): message is LentPayload {
  return message !== null && 'isPrivate' in message;
}

const replyTag = tagOf(REPLY, 0, 0);
const errorTag = tagOf(ERROR, 0, 0);

// biome-ignore lint/suspicious/noExplicitAny: the contract's types end here
export type Handler = (payload: any, context: any) => unknown;

/** An entry of the client's name table, resolved to what this server has. */
export interface Route {
  readonly name: string;
  readonly kind: string;
  /** Null: unknown here, and why. */
  readonly handler: Handler | null;
  readonly codec: PayloadCodec | null;
  readonly problem: string;
  /** The handler looks at the bytes where they are. */
  readonly isBorrowed?: boolean;
}

interface LendingRoute extends Route {
  readonly lender: Lender;
}

export interface ServerSessionOptions {
  channel: Channel;
  peer: Peer;
  clientId: string;
  routes: readonly Route[];
  maxMessageBytes: number;
  /** Replies waiting for a client that does not read; beyond this its requests are not read either. */
  maxQueuedBytes: number;
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
  private readonly reassembly: Reassembly;
  /** Calls whose handlers are at work, by correlation id. */
  private readonly running = new Map<number, Context>();
  private isEnded = false;
  private isLeaving = false;
  private isReading = false;
  private isGoodbyeWritten = false;
  private isPaused = false;
  /** Did a handler of this batch go on asynchronously? Then its microtasks need the event loop. */
  private isAsync = false;
  private eventsInBatch = 0;
  private onIdle: (() => void) | null = null;
  /** Borrowed views that somebody may still look at. */
  private borrowed = 0;
  private onReturned: (() => void) | null = null;
  private readonly onReturn = (): void => {
    if (--this.borrowed === 0) this.onReturned?.();
  };

  constructor(options: ServerSessionOptions) {
    this.options = options;
    this.routes = options.routes.map((route) => ({ ...route, lender: new Lender(route.name, options) }));
    this.peer = options.peer;
    this.clientId = options.clientId;
    this.channel = options.channel;
    this.writer = new FrameWriter(this.channel.producer, (isBlocked) => this.channel.waitForSpace(isBlocked ? 'message' : 'no'));
    this.releases = new ReleaseQueue(this.channel.consumer.readPosition);
    this.reassembly = new Reassembly(options.maxMessageBytes);
    this.channel.listen({ onReady: () => this.onReady(), onHangup: (error) => this.onHangup(error ?? null) });
    this.writer.useChannel(this.channel);
    this.channel.expectArrival(true);
  }

  // --- reading --------------------------------------------------------------------------------------------------

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
      const hasRead = this.readBatch(BATCH);
      if (!hasRead || this.isEnded || this.isAsync || this.isPaused || this.isLeaving) return;
    } while (this.channel.spin());
  }

  private readBatch(limit: number): boolean {
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
    if (this.isEnded) return false;
    this.channel.expectRest(!this.reassembly.isEmpty);
    if (this.eventsInBatch > 0) this.channel.noteEvents(this.eventsInBatch);
    this.release();
    return count > 0;
  }

  private release(): void {
    this.channel.consumer.release(this.releases.releasable);
    this.channel.settle();
  }

  private dispatch(consumer: RingConsumer): void {
    const { tag } = consumer;
    checkTag(tag, 'client');
    switch (kindOf(tag)) {
      case EVENT:
        this.readEvent(consumer, tag);
        break;
      case CALL:
        this.readCall(consumer, tag);
        break;
      case CANCEL:
        checkControlLength(tag, consumer.payloadLength);
        this.reassembly.drop(CALL, consumer.correlationId);
        this.running.get(consumer.correlationId >>> 0)?.abort(new PillionError('ERR_PILLION_CLOSED', 'the caller has cancelled'));
        this.releases.pass(consumer.readPosition);
        break;
      case PING: {
        checkControlLength(tag, consumer.payloadLength);
        const bytes = copyOut(consumer, consumer.payloadOffset, consumer.payloadLength);
        this.writer.write(tagOf(PONG, 0, 0), consumer.correlationId, consumer.aux, {
          bytes,
          words: null,
          start: 0,
          end: bytes.length,
          isStable: true,
        });
        this.releases.pass(consumer.readPosition);
        this.updatePause();
        break;
      }
      default:
        checkControlLength(tag, consumer.payloadLength);
        this.releases.pass(consumer.readPosition);
    }
  }

  private routeOf(tag: number, kind: 'event' | 'method'): LendingRoute {
    const route = this.routes[targetOf(tag)];
    if (route === undefined) throw new ProtocolError(`target ${targetOf(tag)} is not in the client's name table`);
    if (route.kind !== kind) throw new ProtocolError(`"${route.name}" is a ${route.kind}, but was used as ${kind}`);
    return route;
  }

  private readEvent(consumer: RingConsumer, tag: number): void {
    const route = this.routeOf(tag, 'event');
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
    const message = this.reassembly.add(EVENT, sequence, consumer.aux, (flags & MORE) !== 0, consumer, payloadOffset, payloadLength);
    // A fragment keeps its place until its event is handled: the last one's release covers those before.
    if (message !== null) this.handleEvent(route, flags, sequence, readPosition, message);
  }

  /** The value of a message, or without one of the record that the consumer stands on. Throws what is wrong with it. */
  private decode(route: Route, message: Reassembled | LentPayload | null): unknown {
    const codec = route.codec as PayloadCodec;
    if (isLent(message)) {
      if (message.length > this.options.maxMessageBytes) throw this.tooLarge(route);
      return message.isPrivate ? codec.decodeOwned(message.bytes) : codec.decode(message, message.offset, message.length);
    }
    if (message === null) {
      const { consumer } = this.channel;
      if (consumer.payloadLength > this.options.maxMessageBytes) throw this.tooLarge(route);
      return codec.decode(consumer, consumer.payloadOffset, consumer.payloadLength);
    }
    if (message.bytes !== null) return codec.decodeOwned(message.bytes);
    throw this.tooLarge(route);
  }

  /** The bytes of a message where they are. Throws what is wrong with it. */
  private bytesOf(route: Route, message: Reassembled | LentPayload | null): Uint8Array {
    const { consumer } = this.channel;
    const { maxMessageBytes } = this.options;
    if (isLent(message)) {
      if (message.length <= maxMessageBytes) return message.bytes.subarray(message.offset, message.offset + message.length);
    } else if (message !== null) {
      if (message.bytes !== null) return message.bytes;
    } else if (consumer.payloadLength <= maxMessageBytes) {
      return consumer.bytes.subarray(consumer.payloadOffset, consumer.payloadOffset + consumer.payloadLength);
    }
    throw this.tooLarge(route);
  }

  private lend(route: LendingRoute, message: Reassembled | LentPayload | null, context: Context): Uint8Array {
    const bytes = this.bytesOf(route, message);
    this.borrowed++;
    return route.lender.lend(context, bytes, this.onReturn);
  }

  private tooLarge(route: Route): PillionError {
    return new PillionError(
      'ERR_PILLION_TOO_LARGE',
      `"${route.name}" was sent more than the sidecar's maxMessageBytes=${this.options.maxMessageBytes}`,
    );
  }

  private handleEvent(route: LendingRoute, flags: number, sequence: number, end: number, message: Reassembled | LentPayload | null): void {
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
      result = route.handler(route.isBorrowed ? this.lend(route, message, context) : this.decode(route, message), context);
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
    const route = this.routeOf(tag, 'method');
    const id = consumer.correlationId >>> 0;
    const hasMore = (flagsOf(tag) & MORE) !== 0;
    const { payloadOffset, payloadLength, aux } = consumer;
    this.releases.pass(consumer.readPosition);
    if (!hasMore && (this.reassembly.isEmpty || !this.reassembly.has(CALL, id))) {
      this.handleCall(route, id, aux, null);
      return;
    }
    const message = this.reassembly.add(CALL, id, aux, hasMore, consumer, payloadOffset, payloadLength);
    if (message !== null) this.handleCall(route, id, message.aux, message);
  }

  private handleCall(route: Route, id: number, timeoutMs: number, message: Reassembled | null): void {
    if (id === 0 || this.running.has(id)) throw new ProtocolError(`correlation id ${id} is ${id === 0 ? 'not allowed' : 'in use'}`);
    const { handler } = route;
    if (handler === null) {
      this.replyError(id, { code: 'ERR_PILLION_UNKNOWN_NAME', message: route.problem });
      return;
    }
    this.options.counters.callsHandled++;
    const context = new Context(this.peer, this.clientId, false, id, timeoutMs >>> 0, null);
    let result: unknown;
    try {
      result = handler(this.decode(route, message), context);
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
    } catch (error) {
      this.end(error as Error);
      return;
    }
    this.checkIdle();
  }

  // --- answering ------------------------------------------------------------------------------------------------

  private reply(route: Route, id: number, value: unknown, context: Context): void {
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
    const bytes = Buffer.from(JSON.stringify(payload));
    this.writer.write(errorTag, id, 0, { bytes, words: null, start: 0, end: bytes.length, isStable: true });
    if (this.writer.hasQueue) this.updatePause();
  }

  private onHandlerError(error: unknown, name: string, context: Context): void {
    this.options.counters.handlerErrors++;
    this.options.onHandlerError(error, name, context);
  }

  /** A client that does not read its answers is not asked for more requests. */
  private updatePause(): void {
    const isPaused = this.writer.queuedBytes > this.options.maxQueuedBytes;
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
    return new Promise((resolve) => {
      this.onIdle = resolve;
      this.checkIdle();
    });
  }

  /** Calls back when nobody looks at the memory of this connection any more. */
  whenReturned(callback: () => void): void {
    if (this.borrowed === 0) callback();
    else this.onReturned = callback;
  }

  private checkIdle(): void {
    const { onIdle } = this;
    if (onIdle === null) return;
    if (!this.isEnded) {
      if (this.running.size > 0 || this.releases.hasHeld || this.writer.hasQueue || !this.hasSaidGoodbye()) return;
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
      this.channel.consumer.seal();
      while (!this.isEnded && !this.isLeaving && this.readBatch(BATCH));
    } catch (fault) {
      reason ??= fault as Error;
    }
    this.end(reason);
  }

  /** Ends the conversation at once. Handlers still at work see their signal aborted; their answers go nowhere. */
  end(error: Error | null): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.options.counters.doorbells += this.channel.doorbellCount;
    this.channel.close();
    const reason = new PillionError(
      'ERR_PILLION_PEER_DIED',
      error === null ? 'the client is gone' : `the connection was closed: ${error.message}`,
    );
    for (const context of this.running.values()) context.abort(reason);
    this.running.clear();
    this.checkIdle();
    this.options.onEnd(error);
  }
}
