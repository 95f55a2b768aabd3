import { PillionError } from '../errors.js';
import { DuplexSocket, type DuplexSocketOptions } from '../streams/duplex.js';
import type { ItemReceiver } from './item-receiver.js';
import { type ItemSender, sendAll } from './item-sender.js';

/** What one end of a duplex stream tells its session. */
export interface DuplexHost {
  /** Everything written is in the ring: say that nothing follows. */
  onFinished(): void;
  /** Read and write no more; the other side is to see an end, not an error, if it has read everything. */
  onClose(): void;
  /** Give up both directions; `error` is what the other side is told, if anything. */
  onDestroy(error: unknown): void;
  /** May the stream keep the process alive? */
  setReferenced(isReferenced: boolean): void;
}

/**
 * One end of a duplex stream: an async iterable of what the other side sends, and a way to send. The two directions end independently.
 */
export class DuplexEnd<In, Out> implements AsyncIterableIterator<In> {
  readonly items: ItemReceiver<In>;
  private readonly sender: ItemSender;
  private readonly host: DuplexHost;
  /** Internal. Somebody writes by hand: the end of the output is theirs to say. */
  isTaken = false;
  /** `end` was called. */
  private isEnding = false;
  /** It was told to the other side. */
  private isFinished = false;
  private last: Promise<unknown> = Promise.resolve();

  constructor(items: ItemReceiver<In>, sender: ItemSender, host: DuplexHost) {
    this.items = items;
    this.sender = sender;
    this.host = host;
  }

  /** May this side still write, and does the other side still read? */
  get isWritable(): boolean {
    return !this.sender.isClosed && !this.isEnding;
  }

  /**
   * Sends one item; resolves when it has left, i.e. the other side had room for it. To false if the other side reads no more. Items keep the order of the calls.
   *
   * @returns rejects with PillionError: ERR_PILLION_CLOSED after `end`; ERR_PILLION_ENCODE, _TOO_LARGE: this item alone fails.
   */
  write(item: Out): Promise<boolean> {
    this.isTaken = true;
    if (this.isEnding) return Promise.reject(new PillionError('ERR_PILLION_CLOSED', 'nothing can be written after end()'));
    const turn = this.last.then(() => this.sendOne(item));
    // A value that cannot be encoded fails alone.
    this.last = turn.catch(() => {});
    return turn;
  }

  private async sendOne(item: Out): Promise<boolean> {
    const { sender } = this;
    while (!sender.isReady) {
      if (sender.isClosed) return false;
      await sender.ready();
    }
    sender.send(item);
    // Until then its bytes are the caller's own.
    if (!sender.isSettled) await sender.settled();
    return !sender.isClosed;
  }

  /** Sends all of an iterable, then says that nothing follows. If the other side reads no more, the iterable is told to stop. */
  async writeAll(source: Iterable<Out> | AsyncIterable<Out>): Promise<void> {
    if (await sendAll(source, this.sender)) await this.end();
  }

  /** Says that nothing follows, after what was written. The other direction goes on. */
  async end(): Promise<void> {
    this.isTaken = true;
    this.isEnding = true;
    await this.last;
    await this.sender.settled();
    this.finish();
  }

  private finish(): void {
    if (this.isFinished) return;
    this.isFinished = true;
    if (!this.sender.isClosed) this.host.onFinished();
  }

  /** Gives up both directions at once. The other side is told `error`, or that the stream was closed. */
  destroy(error?: unknown): void {
    this.isTaken = true;
    this.isEnding = true;
    this.host.onDestroy(error);
  }

  /** The stream as a Node `Duplex`, in place of this object: nothing may be read or written here any more. */
  toDuplex(options?: DuplexSocketOptions): DuplexSocket {
    this.isTaken = true;
    return new DuplexSocket(
      {
        input: this.items,
        output: this.sender,
        finish: () => this.end(),
        close: () => this.host.onClose(),
        destroy: (reason) => this.destroy(reason),
        setReferenced: (isReferenced) => this.host.setReferenced(isReferenced),
      },
      options,
    );
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
