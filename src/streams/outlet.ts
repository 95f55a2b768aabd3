/** Where a Node stream sends its items to. */
export interface ItemSink {
  readonly isBytes: boolean;
  /** How many bytes make a good item now. */
  readonly pieceBytes: number;
  /** May an item be sent now? */
  readonly isReady: boolean;
  /** Nobody reads any more. */
  readonly isClosed: boolean;
  /** Has everything sent left, so that nothing refers to its bytes? */
  readonly isSettled: boolean;
  /** Resolves when any of these may have changed. */
  ready(): Promise<void>;
  settled(): Promise<void>;
  send(item: unknown): void;
}

/** Up to here chunks written together travel as one item: a second one costs more than the copy. */
const MAX_JOINED_BYTES = 64 * 1024;

/** Chunks of a Node stream on their way into items. */
class Outgoing {
  private readonly chunks: unknown[];
  private readonly sink: ItemSink;
  private first = 0;
  private offset = 0;

  constructor(chunks: unknown[], sink: ItemSink) {
    this.chunks = sink.isBytes ? joined(chunks as Uint8Array[]) : chunks;
    this.sink = sink;
  }

  get isEmpty(): boolean {
    return this.first === this.chunks.length;
  }

  take(): unknown {
    const chunk = this.chunks[this.first];
    if (!this.sink.isBytes) {
      this.first++;
      return chunk;
    }
    const { length } = chunk as Uint8Array;
    const end = Math.min(this.offset + this.sink.pieceBytes, length);
    const piece = this.offset === 0 && end === length ? chunk : (chunk as Uint8Array).subarray(this.offset, end);
    this.offset = end;
    if (end === length) {
      this.first++;
      this.offset = 0;
    }
    return piece;
  }
}

function joined(chunks: Uint8Array[]): Uint8Array[] {
  if (chunks.length === 1) return chunks;
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return length <= MAX_JOINED_BYTES ? [Buffer.concat(chunks, length)] : chunks;
}

/**
 * Sends chunks that a Node stream was given to write, as the reader has room for them. `onSent` is told when nothing refers to their bytes any more, or what is wrong with them; `onClosed` in
 * its place if nobody reads them.
 */
export function sendChunks(sink: ItemSink, chunks: unknown[], onSent: (error?: Error | null) => void, onClosed: () => void): void {
  const outgoing = new Outgoing(chunks, sink);
  try {
    while (sink.isReady && !outgoing.isEmpty) sink.send(outgoing.take());
  } catch (error) {
    onSent(error as Error);
    return;
  }
  if (outgoing.isEmpty && sink.isSettled && !sink.isClosed) onSent();
  else void sendRest(sink, outgoing).then((isSent) => (isSent ? onSent() : onClosed()), onSent);
}

/** False if nobody reads. */
async function sendRest(sink: ItemSink, outgoing: Outgoing): Promise<boolean> {
  while (!outgoing.isEmpty) {
    while (!sink.isReady) {
      if (sink.isClosed) return false;
      await sink.ready();
    }
    sink.send(outgoing.take());
  }
  await sink.settled();
  return !sink.isClosed;
}
