import type { Peer } from '../channel/peer.js';
import { PillionError } from '../errors.js';
import { type MessageHeaders, NO_HEADERS } from '../protocol/headers.js';
import { type EventContext, type Lender, OVER, type Retainable, type Stay } from './borrow.js';

/** What a handler is told besides the payload. */
export interface HandlerContext {
  /** Aborted when the caller has cancelled, timed out or died, or the server is destroyed. Made when first read. */
  readonly signal: AbortSignal;
  /** Who called, as the kernel says. */
  readonly peer: Peer;
  /** The same for all connections of one client object. */
  readonly clientId: string;
  /** An earlier server may have handled this event already. Always false for calls. */
  readonly redelivered: boolean;
  /** Events: their number, counting up per client (modulo 2^32), the same on redelivery. Calls: their correlation id. */
  readonly sequence: number;
  /** Calls: how long the caller waits, in ms, 0 for no limit. Events: 0. */
  readonly timeoutMs: number;
  /** What the sender put beside the payload. Frozen, without a prototype; empty if there was nothing. */
  readonly headers: MessageHeaders;
}

export class Context implements EventContext, Retainable {
  readonly peer: Peer;
  readonly clientId: string;
  readonly redelivered: boolean;
  readonly sequence: number;
  readonly timeoutMs: number;
  /** Set before anybody sees this. On the prototype unless there are some: a field more is felt in a handler that does little else. */
  declare headers: MessageHeaders;
  stay: Stay | null = null;
  private readonly lender: Lender | null;
  private controller: AbortController | null = null;
  private reason: unknown = null;

  static {
    Context.prototype.headers = NO_HEADERS;
  }

  /** `lender`: null for a call. */
  constructor(peer: Peer, clientId: string, redelivered: boolean, sequence: number, timeoutMs: number, lender: Lender | null) {
    this.peer = peer;
    this.clientId = clientId;
    this.redelivered = redelivered;
    this.sequence = sequence;
    this.timeoutMs = timeoutMs;
    this.lender = lender;
  }

  // An AbortController costs more than a whole call, and most handlers never look.
  get signal(): AbortSignal {
    if (this.controller === null) {
      this.controller = new AbortController();
      if (this.reason !== null) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  retain(): () => void {
    if (this.lender === null) throw new PillionError('ERR_PILLION_INVALID_ARGUMENT', 'a call cannot be retained: its answer ends it');
    return this.lender.retain(this, this.retain);
  }

  /** The handler of an event is done. True if the event is. */
  finish(): boolean {
    if (this.stay !== null) return this.stay.finish();
    this.stay = OVER;
    return true;
  }

  abort(reason: Error): void {
    this.reason = reason;
    this.controller?.abort(reason);
  }
}
