import type { Readable } from 'node:stream';
import { ProtocolError } from '../errors.js';
import { ItemReadable } from '../streams/readable.js';

/** What a receiver tells its session. */
export interface ItemReceiverHost {
  /** The reader has taken so many bytes: the producer may send as many more. */
  onConsumed(bytes: number): void;
  /** The reader wants no more. */
  onCancel(reason: unknown): void;
}

/**
 * One direction of a stream at its reader: an async iterable of items in the order in which they were sent. Leaving the loop, or `return()`, tells the producer to stop. Holds at most
 * the window's worth of items that were not read yet. Can be read once: with `for await`, `Readable.from`, `ReadableStream.from`, or as what `toReadable` makes of it.
 */
export class ItemReceiver<T> implements AsyncIterableIterator<T> {
  private readonly host: ItemReceiverHost;
  private readonly window: number;
  /** What the producer may still send. */
  private granted: number;
  /** Read, but not granted again yet. */
  private consumed = 0;
  private items: T[] = [];
  private costs: number[] = [];
  private first = 0;
  private waiting: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void }[] = [];
  private isEnded = false;
  private error: { reason: unknown } | null = null;
  /** Internal. Has anybody begun to read? */
  isRead = false;
  /** Internal. Why the items end, if not in order; whether or not the reader was told. */
  failure: { reason: unknown } | null = null;
  /** Internal. Told when no item follows those that have arrived. */
  onEnd: (() => void) | null = null;
  /** Internal. Are the items bytes, which may be cut and joined at will? */
  readonly isBytes: boolean;

  /** `window`: bytes that the producer may send at first. */
  constructor(window: number, host: ItemReceiverHost, isBytes = false) {
    this.window = window;
    this.granted = window;
    this.host = host;
    this.isBytes = isBytes;
  }

  /** Internal. Has everything been read, and does nothing follow? */
  get isOver(): boolean {
    return this.isEnded && this.items.length === this.first;
  }

  /** The first frame of an item has arrived. */
  begin(): void {
    if (this.granted <= 0) throw new ProtocolError('an item arrived for which no credit was left');
  }

  /** An item is complete; `cost` is what it costs its producer. */
  push(item: T, cost: number): void {
    this.granted -= cost;
    if (this.isEnded) {
      this.giveBack(cost);
      return;
    }
    const waiter = this.waiting.shift();
    if (waiter !== undefined) {
      this.giveBack(cost);
      waiter.resolve({ value: item, done: false });
      return;
    }
    this.items.push(item);
    this.costs.push(cost);
  }

  /** No item follows. Those that have arrived are still read, then the error if there is one. */
  end(error: { reason: unknown } | null): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.error = this.failure = error;
    if (this.items.length === this.first) this.settleWaiting();
    this.onEnd?.();
  }

  private settleWaiting(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const waiter of waiting) this.finish().then(waiter.resolve, waiter.reject);
  }

  /** The end as a reader sees it: the error is told once. */
  private finish(): Promise<IteratorResult<T>> {
    const { error } = this;
    this.error = null;
    return error === null ? Promise.resolve({ value: undefined, done: true }) : Promise.reject(error.reason);
  }

  private giveBack(cost: number): void {
    this.consumed += cost;
    if (this.consumed < this.window / 2) return;
    const bytes = this.consumed;
    this.consumed = 0;
    this.granted += bytes;
    this.host.onConsumed(bytes);
  }

  next(): Promise<IteratorResult<T>> {
    this.isRead = true;
    const { items, first } = this;
    if (first < items.length) {
      const value = items[first] as T;
      items[first] = undefined as T;
      const cost = this.costs[first] as number;
      this.first = first + 1;
      if (this.first === items.length) {
        items.length = this.costs.length = this.first = 0;
      } else if (this.first >= 1024) {
        items.splice(0, this.first);
        this.costs.splice(0, this.first);
        this.first = 0;
      }
      this.giveBack(cost);
      return Promise.resolve({ value, done: false });
    }
    if (this.isEnded) return this.finish();
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
    });
  }

  /** Stops: the producer is told at once, and what has arrived is thrown away. */
  return(): Promise<IteratorResult<T>> {
    this.isRead = true;
    this.cancel(null);
    return Promise.resolve({ value: undefined, done: true });
  }

  throw(error?: unknown): Promise<IteratorResult<T>> {
    this.cancel(null);
    return Promise.reject(error);
  }

  /** The same; what readers are told afterwards is `error`, or the end. */
  cancel(error: { reason: unknown } | null): void {
    const unread = this.costs.slice(this.first).reduce((sum, cost) => sum + cost, 0);
    this.items.length = this.costs.length = this.first = 0;
    this.error = error;
    if (this.isEnded) return;
    this.isEnded = true;
    this.failure = error;
    this.settleWaiting();
    this.host.onCancel(error?.reason);
    this.giveBack(unread);
    this.onEnd?.();
  }

  /**
   * The items as a Node stream: of bytes if their codec is `raw`, of objects otherwise. Destroying it stops the producer at once. What had arrived before an error is read before the
   * error is told.
   */
  toReadable(): Readable {
    return new ItemReadable(this);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
