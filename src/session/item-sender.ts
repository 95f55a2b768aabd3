import { PillionError, ProtocolError } from '../errors.js';
import type { PayloadCodec } from '../protocol/codec.js';
import { ITEM, tagOf } from '../protocol/frame.js';
import { alignedLength } from '../ring/layout.js';
import type { FrameWriter } from './frame-writer.js';

const itemTag = tagOf(ITEM, 0, 0);
/** Beyond this a grant is nonsense: more than any ring or window. */
const MAX_CREDIT = 2 ** 31 - 1;

/** How the items of one direction become bytes, and how long they may be. */
export interface ItemFormat {
  readonly name: string;
  readonly codec: PayloadCodec;
  readonly maxMessageBytes: number;
  /** Checks a value from the peer; throws what is wrong with it. */
  readonly check?: ((value: unknown) => unknown) | undefined;
}

/**
 * One direction of a stream at its producer: sends items as long as the reader has granted credit. Credit counts bytes of records, headers included; an item may
 * begin while there is any left, so one that is larger than the window still gets through.
 */
export class ItemSender {
  isClosed = false;
  private credit: number;
  private isWriting = false;
  private wake: (() => void) | null = null;
  private readonly writer: FrameWriter;
  private readonly id: number;
  private readonly format: ItemFormat;
  /** What was sent last, or held this up, is in the ring. */
  readonly onWritten = (): void => {
    this.isWriting = false;
    this.wakeUp();
  };
  /** Told once when nobody wants items any more. */
  onClose: (() => void) | null = null;

  constructor(writer: FrameWriter, id: number, format: ItemFormat, credit: number) {
    this.writer = writer;
    this.id = id;
    this.format = format;
    this.credit = credit;
  }

  /** Nothing is sent before `onWritten` says that what goes before it is in the ring. */
  hold(): void {
    this.isWriting = true;
  }

  /** May an item be sent now? */
  get isReady(): boolean {
    return this.credit > 0 && !this.isWriting && !this.isClosed;
  }

  /** Resolves when an item may be sent, or none any more. One waiter at a time. */
  ready(): Promise<void> {
    if (this.isReady || this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  /** Resolves when the items sent so far are in the ring, so that what follows cannot overtake them. */
  async settled(): Promise<void> {
    while (this.isWriting && !this.isClosed) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  private wakeUp(): void {
    if (this.isWriting && !this.isClosed) return;
    const { wake } = this;
    this.wake = null;
    wake?.();
  }

  /** The reader granted more. */
  grant(bytes: number): void {
    if (bytes <= 0 || this.credit + bytes > MAX_CREDIT) {
      throw new ProtocolError(`stream ${this.id} was granted ${bytes >>> 0} bytes on top of ${this.credit}, which cannot be`);
    }
    this.credit += bytes;
    this.wakeUp();
  }

  /** Sends one item; call when ready. Throws if it cannot be encoded. */
  send(value: unknown): void {
    const { name, codec, maxMessageBytes } = this.format;
    const payload = codec.encode(value);
    const length = payload.end - payload.start;
    if (length > maxMessageBytes) {
      throw new PillionError(
        'ERR_PILLION_TOO_LARGE',
        `an item of "${name}" has ${length} bytes, allowed are maxMessageBytes=${maxMessageBytes}`,
      );
    }
    this.credit -= alignedLength(length);
    if (!this.writer.write(itemTag, this.id, 0, payload, this.onWritten)) this.isWriting = true;
  }

  /** Nobody reads any more. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.wakeUp();
    this.onClose?.();
  }
}

type Source = Iterable<unknown> | AsyncIterable<unknown>;

/** Can this be sent item by item? */
export function isSource(value: unknown): value is Source {
  if (typeof value !== 'object' || value === null) return false;
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}

/**
 * Sends what `source` yields, each item when the reader has room for it. Resolves to true at the source's end; to false when the sender was closed first, the source's
 * `return` having been called at that moment. Rejects with what the source throws.
 */
export async function sendAll(source: Source, sender: ItemSender): Promise<boolean> {
  const isAsync = Symbol.asyncIterator in source;
  const iterator = isAsync ? (source as AsyncIterable<unknown>)[Symbol.asyncIterator]() : (source as Iterable<unknown>)[Symbol.iterator]();
  let isFinished = false;
  const stop = (): void => {
    if (isFinished) return;
    isFinished = true;
    void endIterator(iterator);
  };
  if (sender.isClosed) stop();
  sender.onClose = stop;
  try {
    for (;;) {
      // An item is only asked for when it can be sent, so a slow reader slows the source.
      while (!sender.isReady) {
        if (sender.isClosed) return false;
        await sender.ready();
      }
      const result = isAsync ? await iterator.next() : (iterator as Iterator<unknown>).next();
      if (sender.isClosed) return false;
      if (result.done) {
        isFinished = true;
        await sender.settled();
        return !sender.isClosed;
      }
      sender.send(result.value);
    }
  } catch (error) {
    stop();
    throw error;
  } finally {
    sender.onClose = null;
  }
}

/** Whatever a source does when it is told to stop is its own affair. */
async function endIterator(iterator: Iterator<unknown> | AsyncIterator<unknown>): Promise<void> {
  try {
    await iterator.return?.();
  } catch {
    // The reader is gone: nobody is left to be told.
  }
}
