import type { Readable } from 'node:stream';
import { PillionError } from '../errors.js';

/** Where a Node stream gets its items from. */
export interface ItemSource {
  readonly isBytes: boolean;
  /** Has everything been read, and does nothing follow? */
  readonly isOver: boolean;
  /** Why the items end, if not in order. */
  readonly failure: { reason: unknown } | null;
  /** Told when no item follows those that have arrived. */
  onEnd: (() => void) | null;
  next(): Promise<IteratorResult<unknown>>;
  /** Nothing more is wanted. */
  cancel(error: null): void;
}

/**
 * Options of the readable side. The items that were not read wait at the source, which counts them, and not in the stream as well: so an error comes after everything that
 * had arrived before it.
 */
export function readableOptions({ isBytes }: ItemSource): { readableObjectMode: boolean; readableHighWaterMark: number } {
  return { readableObjectMode: !isBytes, readableHighWaterMark: 0 };
}

/** Moves items from their source into a Node stream, as that asks for them. */
export class Inlet {
  private readonly stream: Readable;
  private readonly source: ItemSource;
  private readonly onItem: (item: unknown) => void;
  private isReading = false;
  private isWanted = false;

  constructor(stream: Readable, source: ItemSource, onItem: (item: unknown) => void = () => {}) {
    this.stream = stream;
    this.source = source;
    this.onItem = onItem;
  }

  /** Has everything that arrived been handed out, and does nothing follow? */
  get isOver(): boolean {
    return this.source.isOver && this.stream.readableLength === 0;
  }

  /** `_read` of the stream. */
  read(): void {
    this.isWanted = true;
    if (!this.isReading) void this.run();
  }

  private async run(): Promise<void> {
    this.isReading = true;
    try {
      while (this.isWanted && !this.stream.destroyed) await this.step();
    } catch (error) {
      this.stream.destroy(asError(error));
    }
    this.isReading = false;
  }

  private async step(): Promise<void> {
    const { stream, source } = this;
    const { value, done } = await source.next();
    if (stream.destroyed) return;
    if (done) {
      this.isWanted = false;
      stream.push(null);
      return;
    }
    this.onItem(value);
    if (source.isBytes && (value as Uint8Array).length === 0) return;
    if (value === null) throw new PillionError('ERR_PILLION_DECODE', 'an item is null, which ends a Node stream: read it with for await');
    // A listener may ask for more while it is given this one.
    this.isWanted = false;
    if (stream.push(value)) this.isWanted = true;
  }
}

/** Streams are destroyed with errors; handlers and signals may give any reason. */
export function asError(reason: unknown): Error {
  if (reason instanceof Error) return reason;
  return new PillionError('ERR_PILLION_CLOSED', `the stream was ended: ${String(reason)}`, { cause: reason });
}
