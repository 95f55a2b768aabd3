import { type Channel, channel } from 'node:diagnostics_channel';
import { debuglog } from 'node:util';
import type { Peer } from './channel/peer.js';
import type { MessageHeaders } from './protocol/headers.js';
import { isThenable } from './thenable.js';

/** `NODE_DEBUG=pillion` */
export const debug = debuglog('pillion');

/** Who and what, in every message of the channels below. */
interface Subject {
  readonly contract: string;
  readonly name: string;
  readonly kind: 'event' | 'method' | 'stream' | 'upload' | 'duplex';
}

/** What the five channels of an operation are told, the same object each time. */
interface Traced {
  /** Set before `end`: `asyncStart` and `asyncEnd` follow when the operation is over. */
  isAsync: boolean;
  /** Set before the channel that tells of it. */
  result?: unknown;
  error?: unknown;
  /** A subscriber of `start` may set this to have the operation carried out inside something of its own, for example an asynchronous context. It has to return what `work` returns. */
  run?: (work: () => unknown) => unknown;
}

/** `pillion:call:*`: a call, or a stream of any kind, at the client. What subscribers of `start` do to `headers` is what is sent. */
export interface CallMessage extends Subject, Traced {
  readonly payload: unknown;
  headers: Record<string, string>;
}

/** `pillion:handle:*`: an event, call or stream at the server, from decoding to the end of its handler. */
export interface HandleMessage extends Subject, Traced {
  readonly headers: MessageHeaders;
  readonly clientId: string;
  readonly peer: Peer;
  readonly redelivered: boolean;
  readonly sequence: number;
}

/** `pillion:send`: an event, before it is sent. What subscribers do to `headers` is what is sent. */
export interface SendMessage extends Subject {
  readonly payload: unknown;
  headers: Record<string, string>;
  /** Set after subscribers were told: what `send` returned, or that `sendWhenFree` resolved. */
  accepted?: boolean;
}

/** `pillion:connect` and `pillion:disconnect`, at both sides. */
export interface ConnectionMessage {
  readonly side: 'client' | 'server';
  readonly contract: string;
  readonly path: string;
  readonly clientId: string;
  readonly peer: Peer | undefined;
  readonly transport: 'shm' | 'socket' | undefined;
  /** `connect` at the client: why it is the socket. `disconnect`: null unless the peer broke the protocol. */
  readonly reason: Error | string | null;
}

/** Five channels with the meaning that they have in `diagnostics_channel.tracingChannel`. */
export class TracedOperation<Message extends Traced> {
  private readonly start: Channel;
  private readonly end: Channel;
  private readonly asyncStart: Channel;
  private readonly asyncEnd: Channel;
  private readonly error: Channel;

  constructor(name: string) {
    this.start = channel(`${name}:start`);
    this.end = channel(`${name}:end`);
    this.asyncStart = channel(`${name}:asyncStart`);
    this.asyncEnd = channel(`${name}:asyncEnd`);
    this.error = channel(`${name}:error`);
  }

  /** Asked for each message: five fields of objects that do not change. */
  get hasSubscribers(): boolean {
    return (
      this.start.hasSubscribers ||
      this.end.hasSubscribers ||
      this.asyncStart.hasSubscribers ||
      this.asyncEnd.hasSubscribers ||
      this.error.hasSubscribers
    );
  }

  /** Carries out `work`, which may be asynchronous or not. */
  trace<R>(message: Message, work: () => R): R {
    return this.within(message, work, (result) => {
      if (!isThenable(result)) {
        message.result = result;
        return result;
      }
      message.isAsync = true;
      return Promise.resolve(result).then(
        (value) => {
          message.result = value;
          this.finish(message, null);
          return value;
        },
        (reason: unknown) => {
          this.finish(message, { reason });
          throw reason;
        },
      ) as R;
    });
  }

  /** Carries out `open`, which returns at once what goes on until it says that it is over. */
  traceOpening<R>(message: Message, open: (onEnd: (error: { reason: unknown } | null) => void) => R): R {
    message.isAsync = true;
    return this.within(
      message,
      () => open((error) => this.finish(message, error)),
      (result) => result,
    );
  }

  private within<R>(message: Message, work: () => R, follow: (result: R) => R): R {
    return this.start.runStores(message, () => {
      try {
        const { run } = message;
        return follow(run === undefined ? work() : (run(work) as R));
      } catch (error) {
        message.isAsync = false;
        message.error = error;
        this.error.publish(message);
        throw error;
      } finally {
        this.end.publish(message);
      }
    });
  }

  private finish(message: Message, error: { reason: unknown } | null): void {
    if (error !== null) {
      message.error = error.reason;
      this.error.publish(message);
    }
    this.asyncStart.publish(message);
    this.asyncEnd.publish(message);
  }
}

export const calls = new TracedOperation<CallMessage>('pillion:call');
export const handling = new TracedOperation<HandleMessage>('pillion:handle');
export const sends = channel('pillion:send');
export const connects = channel('pillion:connect');
export const disconnects = channel('pillion:disconnect');
