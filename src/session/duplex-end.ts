import type { ItemReceiver } from './item-receiver.js';
import { type ItemSender, sendAll } from './item-sender.js';

/** What one end of a duplex stream tells its session. */
export interface DuplexHost {
  /** Everything written is in the ring: say that nothing follows. */
  onFinished(): void;
  /** Give up both directions; `error` is what the other side is told, if anything. */
  onDestroy(error: unknown): void;
}

/**
 * One end of a duplex stream: an async iterable of what the other side sends, and a way to send. The two directions end independently.
 */
export class DuplexEnd<In, Out> implements AsyncIterableIterator<In> {
  readonly items: ItemReceiver<In>;
  private readonly sender: ItemSender;
  private readonly host: DuplexHost;
  /** Somebody writes by hand: the end of the output is theirs to say. */
  isTaken = false;
  private isFinished = false;
  private last: Promise<unknown> = Promise.resolve();

  constructor(items: ItemReceiver<In>, sender: ItemSender, host: DuplexHost) {
    this.items = items;
    this.sender = sender;
    this.host = host;
  }

  /** Does the other side still read? */
  get isWritable(): boolean {
    return !this.sender.isClosed && !this.isFinished;
  }

  /** Told once, when the other side reads no more. */
  set onUnwanted(callback: (() => void) | null) {
    this.sender.onClose = callback;
  }

  /** Sends one item; resolves when it was taken and there is room for another one. To false if the other side reads no more. Items keep the order of the calls. */
  write(item: Out): Promise<boolean> {
    this.isTaken = true;
    const turn = this.last.then(async () => {
      while (!this.sender.isReady) {
        if (!this.isWritable) return false;
        await this.sender.ready();
      }
      if (!this.isWritable) return false;
      this.sender.send(item);
      return true;
    });
    // A value that cannot be encoded fails alone.
    this.last = turn.catch(() => {});
    return turn;
  }

  /** Sends all of an iterable, then says that nothing follows. */
  async writeAll(source: Iterable<Out> | AsyncIterable<Out>): Promise<void> {
    if (await sendAll(source, this.sender)) this.finish();
  }

  /** Says that nothing follows, after what was written. The other direction goes on. */
  async end(): Promise<void> {
    this.isTaken = true;
    await this.last;
    await this.sender.settled();
    this.finish();
  }

  private finish(): void {
    if (this.isFinished) return;
    this.isFinished = true;
    if (!this.sender.isClosed) this.host.onFinished();
  }

  /** Gives up both directions at once. */
  destroy(error?: unknown): void {
    this.host.onDestroy(error);
  }

  next(): Promise<IteratorResult<In>> {
    return this.items.next();
  }

  /** Reads no more. What this side sends goes on. */
  return(): Promise<IteratorResult<In>> {
    return this.items.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.destroy();
  }
}
