import { PillionError, ProtocolError } from '../errors.js';
import type { PayloadCodec } from '../protocol/codec.js';
import { ITEM, tagOf } from '../protocol/frame.js';
import { alignedLength } from '../ring/layout.js';
import { openSource, type Source } from '../streams/source.js';
import type { FrameWriter } from './frame-writer.js';

const itemTag = tagOf(ITEM, 0, 0);
/** Beyond this a grant is nonsense: more than any ring or window. */
const MAX_CREDIT = 2 ** 31 - 1;
/** Of a stream of bytes, whose sender chooses how to cut them. */
const MAX_PIECE_BYTES = 64 * 1024;
const MIN_PIECE_BYTES = 256;

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
  /** The most that the reader has granted at once: about its window. */
  private window: number;
  private isWriting = false;
  private waiting: (() => void)[] = [];
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
  /** Told when the connection turns out to be broken by what `send` finds. */
  onFault: ((error: unknown) => void) | null = null;

  constructor(writer: FrameWriter, id: number, format: ItemFormat, credit: number) {
    this.writer = writer;
    this.id = id;
    this.format = format;
    this.credit = this.window = credit;
  }

  /** Are the items bytes, which may be cut and joined at will? */
  get isBytes(): boolean {
    return this.format.codec.name === 'raw';
  }

  /** How many bytes make a good item now: one record, of which the reader's window has room for two. */
  get pieceBytes(): number {
    const ofWindow = Math.max(this.window >> 1, MIN_PIECE_BYTES);
    return Math.min(ofWindow, MAX_PIECE_BYTES, this.writer.maxRecordPayload, this.format.maxMessageBytes);
  }

  /** Nothing is sent before `onWritten` says that what goes before it is in the ring. */
  hold(): void {
    this.isWriting = true;
  }

  /** May an item be sent now? */
  get isReady(): boolean {
    return this.credit > 0 && !this.isWriting && !this.isClosed;
  }

  /** Are the items sent so far in the ring, so that nothing refers to their bytes any more? */
  get isSettled(): boolean {
    return !this.isWriting || this.isClosed;
  }

  /** Resolves when there is something new: an item may be sent, or none any more, or `nudge` was called. */
  ready(): Promise<void> {
    return this.isReady || this.isClosed ? Promise.resolve() : this.change();
  }

  /** Resolves when the items sent so far are in the ring, so that what follows cannot overtake them. */
  async settled(): Promise<void> {
    while (!this.isSettled) await this.change();
  }

  private change(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
    });
  }

  private wakeUp(): void {
    if (this.isWriting && !this.isClosed) return;
    this.nudge();
  }

  /** Whoever waits looks again. */
  nudge(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const wake of waiting) wake();
  }

  /** The reader granted more. */
  grant(bytes: number): void {
    if (bytes <= 0 || this.credit + bytes > MAX_CREDIT) {
      throw new ProtocolError(`stream ${this.id} was granted ${bytes >>> 0} bytes on top of ${this.credit}, which cannot be`);
    }
    this.credit += bytes;
    if (this.credit > this.window) this.window = this.credit;
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
    try {
      if (!this.writer.write(itemTag, this.id, 0, payload, this.onWritten)) this.isWriting = true;
    } catch (error) {
      this.onFault?.(error);
      throw error;
    }
  }

  /** Nobody reads any more. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.wakeUp();
    this.onClose?.();
  }
}

/** How many items may go before somebody looks at the clock, and how long they may go on before the event loop gets a turn. */
const ITEMS_PER_LOOK = 64;
const MAX_SENDING_MS = 1;

/**
 * Sends what `source` yields, each item when the reader has room for it. Resolves to true at the source's end; to false when the sender was closed first, the source
 * having been told to stop at that moment. Rejects with what the source throws.
 */
export async function sendAll(source: Source, sender: ItemSender): Promise<boolean> {
  const failures: unknown[] = [];
  const opened = openSource(source, (error) => {
    failures.push(error);
    sender.nudge();
  });
  let isFinished = false;
  const stop = (): void => {
    if (isFinished) return;
    isFinished = true;
    opened.stop();
  };
  if (sender.isClosed) stop();
  sender.onClose = stop;
  try {
    let turnBegan = performance.now();
    for (let count = 1; ; count++) {
      if (count % ITEMS_PER_LOOK === 0 && performance.now() - turnBegan > MAX_SENDING_MS) {
        // A reader with a large window, who keeps up, would otherwise never let anybody else have this thread.
        await new Promise(setImmediate);
        turnBegan = performance.now();
      }
      // An item is only asked for when it can be sent, so a slow reader slows the source.
      while (!sender.isReady) {
        if (sender.isClosed) return false;
        if (failures.length > 0) throw failures[0];
        await sender.ready();
      }
      const result = opened.isAsync ? await opened.next() : (opened.next() as IteratorResult<unknown>);
      if (sender.isClosed) return false;
      if (result.done) {
        isFinished = true;
        await sender.settled();
        return !sender.isClosed;
      }
      sender.send(result.value);
    }
  } catch (error) {
    // Told to stop, a source may fail as well: nobody wants to know.
    if (sender.isClosed) return false;
    stop();
    throw error;
  } finally {
    sender.onClose = null;
  }
}
