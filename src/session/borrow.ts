import { PillionError } from '../errors.js';
import type { HandlerContext } from './handler-context.js';
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
  /** Called when it is over, unless `finish` says so itself. */
  onOver: (() => void) | null = null;
  isHandlerDone = false;
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

  finish(): boolean {
    this.isHandlerDone = true;
    return this.leave();
  }
}

/** That of all events which nobody has retained or borrowed, when they are over. */
export const OVER = new Stay(null);
OVER.finish();

/** What a context is to its lender. `stay`: null as long as only the handler's return decides. */
export interface Retainable {
  stay: Stay | null;
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

/** Lends and keeps the events of one name to their handlers. Contexts have two fields for it, because there is one per message. */
export class Lender {
  private readonly name: string;
  private readonly options: BorrowOptions;
  /** The views of events that are borrowed. */
  private readonly views = new WeakMap<Retainable, Uint8Array>();

  constructor(name: string, options: BorrowOptions) {
    this.name = name;
    this.options = options;
  }

  /** What the handler is to see of borrowed bytes. `onEnd` is called when nobody looks at them any more. */
  lend(context: Retainable, bytes: Uint8Array, onEnd: () => void): Uint8Array {
    const { checksViews } = this.options;
    const view = checksViews ? new Uint8Array(bytes) : bytes;
    context.stay = new Stay(checksViews ? ending(new WeakRef(view), onEnd) : onEnd);
    this.views.set(context, view);
    return view;
  }

  /** `caller` is where the leak report's stack begins. */
  retain(context: Retainable, caller: unknown): () => void {
    context.stay ??= new Stay(null);
    const { stay } = context;
    if (stay.isHandlerDone)
      throw new PillionError('ERR_PILLION_CLAIM_OVER', `the handler of event "${this.name}" is done: retain it before`);
    stay.join();
    return watched(new RetainedEvent(this.name, stay, this.options, caller), this.views.get(context) ?? null);
  }
}

// Functions of their own, so that their scopes hold nothing else.
function watched(retained: RetainedEvent, view: Uint8Array | null): () => void {
  const release = (): void => {
    if (retained.giveBack()) unwatch(release);
  };
  watch(release, view, retained);
  return release;
}

function ending(view: WeakRef<Uint8Array>, onEnd: () => void): () => void {
  return () => {
    const left = view.deref();
    if (left !== undefined) invalidate(left);
    onEnd();
  };
}
