import type { Peer } from '../channel/peer.js';
import { PillionError } from '../errors.js';
import { Context, type HandlerContext } from './handler-context.js';
import { type Borrowed, placeOf, unwatch, watch } from './leaks.js';
import { invalidate } from './view-checks.js';

/** What an event's handler is told besides the payload. */
export interface EventContext extends HandlerContext {
  /**
   * Keeps the event's place in the ring, and a borrowed view with it, when the handler is done, until the function that is returned is called. Everything that this
   * client has sent later keeps its place as well. To be called before the handler is done.
   *
   * @throws PillionError ERR_PILLION_CLAIM_OVER afterwards.
   */
  retain(): () => void;
}

/** How long an event keeps its place: until its handler and everybody who has retained it are done with it. Does not lead to the view, or a leak would never show. */
export class Stay {
  /** Called when it is over, unless `leave` says so itself. */
  onOver: (() => void) | null = null;
  private holders = 1;
  private readonly onEnd: (() => void) | null;

  constructor(onEnd: (() => void) | null) {
    this.onEnd = onEnd;
  }

  join(): void {
    this.holders++;
  }

  /** True if that was the last one. */
  leave(): boolean {
    if (--this.holders > 0) return false;
    this.onEnd?.();
    this.onOver?.();
    return true;
  }
}

/** What the server keeps count of, for all its clients. */
export interface BorrowCounters {
  viewsLeaked: number;
}

export interface BorrowOptions {
  readonly checksViews: boolean;
  readonly counters: BorrowCounters;
}

class RetainedEvent implements Borrowed {
  readonly stack: string | null;
  private readonly name: string;
  private readonly stay: Stay;
  private readonly counters: BorrowCounters;
  private isGivenBack = false;

  constructor(name: string, stay: Stay, { checksViews, counters }: BorrowOptions, caller: unknown) {
    this.name = name;
    this.stay = stay;
    this.counters = counters;
    this.stack = checksViews ? placeOf(caller) : null;
  }

  describe(): string {
    return `event "${this.name}" was retained and dropped without being released`;
  }

  giveBack(): boolean {
    if (this.isGivenBack) return false;
    this.isGivenBack = true;
    this.stay.leave();
    return true;
  }

  takeBack(): boolean {
    if (!this.giveBack()) return false;
    this.counters.viewsLeaked++;
    return true;
  }
}

/** The context of one event. */
export class RetainableContext extends Context implements EventContext {
  /** Null as long as only the handler's return decides. */
  stay: Stay | null = null;
  private isDone = false;
  private view: Uint8Array | null = null;
  private readonly name: string;
  private readonly options: BorrowOptions;

  constructor(peer: Peer, clientId: string, redelivered: boolean, sequence: number, name: string, options: BorrowOptions) {
    super(peer, clientId, redelivered, sequence, 0);
    this.name = name;
    this.options = options;
  }

  /** What the handler is to see of borrowed bytes. `onEnd` is called when nobody looks at them any more. */
  lend(bytes: Uint8Array, onEnd: () => void): Uint8Array {
    const view = this.options.checksViews ? new Uint8Array(bytes) : bytes;
    this.stay = new Stay(this.options.checksViews ? ending(new WeakRef(view), onEnd) : onEnd);
    this.view = view;
    return view;
  }

  retain(): () => void {
    if (this.isDone) throw new PillionError('ERR_PILLION_CLAIM_OVER', `event "${this.name}" is over: retain it before its handler is done`);
    this.stay ??= new Stay(null);
    this.stay.join();
    const retained = new RetainedEvent(this.name, this.stay, this.options, this.retain);
    const release = (): void => {
      if (retained.giveBack()) unwatch(release);
    };
    watch(release, this.view, retained);
    return release;
  }

  /** The handler is done. True if the event is. */
  finish(): boolean {
    this.isDone = true;
    return this.stay === null || this.stay.leave();
  }
}

// A function of its own, so that its scope holds nothing else.
function ending(view: WeakRef<Uint8Array>, onEnd: () => void): () => void {
  return () => {
    const left = view.deref();
    if (left !== undefined) invalidate(left);
    onEnd();
  };
}
