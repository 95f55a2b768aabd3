import { PillionError } from '../errors.js';
import { CREDIT, END, ERROR, tagOf } from '../protocol/frame.js';
import { alignedLength } from '../ring/layout.js';
import { DuplexEnd } from './duplex-end.js';
import type { FrameWriter } from './frame-writer.js';
import { NOTHING, stable } from './frame-writer.js';
import { errorPayload } from './handler-result.js';
import { ItemReceiver } from './item-receiver.js';
import { type ItemFormat, ItemSender, sendAll } from './item-sender.js';
import type { Target } from './target.js';

const endTag = tagOf(END, 0, 0);
const creditTag = tagOf(CREDIT, 0, 0);
const errorTag = tagOf(ERROR, 0, 0);
export interface StreamLimits {
  /** In ms, for the whole stream; Infinity for no limit. */
  timeoutMs: number;
  signal: AbortSignal | null;
  /** Bytes of items that may be on their way or unread. */
  windowBytes: number;
  /** Told once, when the stream is over at this side; null: in order. */
  onEnd?: ((error: { reason: unknown } | null) => void) | undefined;
}

/** What the session does for its streams. */
export interface ClientStreamsHost {
  readonly writer: FrameWriter;
  /** Writes the CALL that opens a stream. Unless it `isWritten` at once, `onWritten` tells when. */
  open(target: Target, request: unknown, credit: number, onWritten: () => void): { id: number; recordCount: number; isWritten: boolean };
  /** Tells the server that nobody reads a stream any more. */
  cancelStream(id: number): void;
  /** Streams came or went. */
  onStreamsChanged(): void;
}

class ClientStream {
  /** The server has been heard of: a successor cannot take the stream over. */
  hasBegun = false;
  /** All of the opening is in the ring. */
  isOpeningWritten = true;
  receiver: ItemReceiver<unknown> | null = null;
  sender: ItemSender | null = null;
  /** An upload's result. */
  settle: { resolve(value: unknown): void; reject(error: unknown): void } | null = null;
  isOutputDone = false;
  isInputDone = false;
  timer: NodeJS.Timeout | undefined;
  onAbort: (() => void) | null = null;
  readonly id: number;
  /** Records that make up its opening in the ring. */
  readonly recordCount: number;
  readonly format: ItemFormat;
  readonly limits: StreamLimits;

  constructor(id: number, recordCount: number, format: ItemFormat, limits: StreamLimits) {
    this.id = id;
    this.recordCount = recordCount;
    this.format = format;
    this.limits = limits;
  }
}

/** The streams of one client, by correlation id. Each ends exactly once, whatever ends it. */
export class ClientStreams {
  private readonly streams = new Map<number, ClientStream>();
  private readonly host: ClientStreamsHost;

  constructor(host: ClientStreamsHost) {
    this.host = host;
  }

  get size(): number {
    return this.streams.size;
  }

  has(id: number): boolean {
    return this.streams.has(id);
  }

  // --- opening --------------------------------------------------------------------------------------------------

  /** One request, many items in answer. */
  openStream(target: Target, format: ItemFormat, request: unknown, limits: StreamLimits): ItemReceiver<unknown> {
    const stream = this.begin(target, format, request, limits, limits.windowBytes);
    stream.isInputDone = true;
    return this.receiverOf(stream);
  }

  /** Many items, one answer. */
  async upload(
    target: Target,
    format: ItemFormat,
    source: Iterable<unknown> | AsyncIterable<unknown>,
    limits: StreamLimits,
  ): Promise<unknown> {
    const stream = this.begin(target, format, undefined, limits, 0);
    stream.isOutputDone = true;
    const sender = this.senderOf(stream);
    const result = new Promise((resolve, reject) => {
      stream.settle = { resolve, reject };
    });
    sendAll(source, sender).then(
      (isWhole) => isWhole && this.finishInput(stream),
      (error) => sender.settled().then(() => this.breakOff(stream, error)),
    );
    return result;
  }

  /** Items both ways. */
  openDuplex(target: Target, format: ItemFormat, limits: StreamLimits): DuplexEnd<unknown, unknown> {
    const stream = this.begin(target, format, undefined, limits, limits.windowBytes);
    return new DuplexEnd(this.receiverOf(stream), this.senderOf(stream), {
      onFinished: () => this.finishInput(stream),
      onDestroy: (error) => {
        if (!this.streams.has(stream.id)) return;
        this.host.cancelStream(stream.id);
        this.end(stream, error === undefined ? null : { reason: error });
      },
    });
  }

  private begin(target: Target, format: ItemFormat, request: unknown, limits: StreamLimits, credit: number): ClientStream {
    const { signal, timeoutMs } = limits;
    if (signal?.aborted) throw signal.reason;
    const { id, recordCount, isWritten } = this.host.open(target, request, credit, () => {
      stream.isOpeningWritten = true;
      stream.sender?.onWritten();
    });
    const stream = new ClientStream(id, recordCount, format, limits);
    stream.isOpeningWritten = isWritten;
    this.streams.set(id, stream);
    if (signal !== null) {
      stream.onAbort = () => this.abort(stream, signal.reason);
      signal.addEventListener('abort', stream.onAbort);
    }
    if (timeoutMs !== Number.POSITIVE_INFINITY) {
      stream.timer = setTimeout(
        () => this.abort(stream, new PillionError('ERR_PILLION_TIMEOUT', `stream "${format.name}" did not end within ${timeoutMs} ms`)),
        Math.min(timeoutMs, 2 ** 31 - 1),
      );
    }
    this.host.onStreamsChanged();
    return stream;
  }

  private receiverOf(stream: ClientStream): ItemReceiver<unknown> {
    stream.receiver = new ItemReceiver<unknown>(stream.limits.windowBytes, {
      onConsumed: (bytes) => this.host.writer.writeControl(creditTag, stream.id, bytes),
      // Of a duplex stream one direction alone: the rest of it is thrown away as it comes.
      onCancel: () => stream.sender === null && this.cancel(stream),
    });
    return stream.receiver;
  }

  private senderOf(stream: ClientStream): ItemSender {
    stream.sender = new ItemSender(this.host.writer, stream.id, stream.format, 0);
    // An END is one record, and would overtake an opening in fragments.
    if (!stream.isOpeningWritten) stream.sender.hold();
    return stream.sender;
  }

  // --- ending ---------------------------------------------------------------------------------------------------

  private finishInput(stream: ClientStream): void {
    if (!this.streams.has(stream.id)) return;
    this.host.writer.write(endTag, stream.id, 0, NOTHING);
    stream.isInputDone = true;
    this.checkDone(stream);
  }

  /** The source of an upload failed: the handler is told why, in order. */
  private breakOff(stream: ClientStream, error: unknown): void {
    if (!this.streams.has(stream.id)) return;
    this.host.writer.write(errorTag, stream.id, 0, stable(Buffer.from(JSON.stringify(errorPayload(error, false)))));
    this.end(stream, { reason: error });
  }

  private abort(stream: ClientStream, reason: unknown): void {
    if (!this.streams.has(stream.id)) return;
    this.host.cancelStream(stream.id);
    this.end(stream, { reason });
  }

  /** The reader has left. */
  private cancel(stream: ClientStream): void {
    if (!this.streams.has(stream.id)) return;
    this.host.cancelStream(stream.id);
    this.end(stream, null);
  }

  private checkDone(stream: ClientStream): void {
    if (stream.settle === null && stream.isInputDone && stream.isOutputDone) this.end(stream, null);
  }

  /** Ends a stream; whoever reads it gets what has arrived, then the error, if there is one. */
  private end(stream: ClientStream, error: { reason: unknown } | null): void {
    const { id, limits, onAbort, timer, receiver, sender, settle } = stream;
    if (!this.streams.delete(id)) return;
    clearTimeout(timer);
    if (onAbort !== null) limits.signal?.removeEventListener('abort', onAbort);
    sender?.close();
    receiver?.end(error);
    if (error !== null) settle?.reject(error.reason);
    this.host.onStreamsChanged();
    limits.onEnd?.(error);
  }

  /** The connection, or the client, is gone. Streams that `isKept` go on in the next connection. */
  failAll(reason: (name: string) => Error, isKept: (id: number) => boolean = () => false): void {
    for (const stream of [...this.streams.values()]) {
      if (isKept(stream.id)) continue;
      this.end(stream, { reason: reason(stream.format.name) });
    }
  }

  /** Has no server taken this stream yet, whose opening takes so many records? */
  isUntaken(id: number, records: number): boolean {
    const stream = this.streams.get(id);
    return stream !== undefined && !stream.hasBegun && stream.recordCount === records;
  }

  // --- what the server says ---------------------------------------------------------------------------------------

  /** Null: nobody waits for it. */
  private heard(id: number): ClientStream | null {
    const stream = this.streams.get(id);
    if (stream === undefined) return null;
    stream.hasBegun = true;
    return stream;
  }

  /** An item begins to arrive. False: nobody wants it. */
  beginItem(id: number): boolean {
    const receiver = this.heard(id)?.receiver;
    if (receiver === undefined || receiver === null) return false;
    receiver.begin();
    return true;
  }

  /** An item has arrived; `decode` throws what is wrong with it. */
  onItem(id: number, length: number, decode: (format: ItemFormat) => unknown): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    let item: unknown;
    try {
      item = decode(stream.format);
      if (stream.format.check !== undefined) item = stream.format.check(item);
    } catch (error) {
      this.abort(stream, error);
      return;
    }
    stream.receiver?.push(item, alignedLength(length));
  }

  onEnd(id: number): void {
    const stream = this.heard(id);
    if (stream === null || stream.receiver === null) return;
    stream.isOutputDone = true;
    stream.receiver.end(null);
    this.checkDone(stream);
  }

  onCredit(id: number, bytes: number): void {
    this.heard(id)?.sender?.grant(bytes);
  }

  /** The handler reads no more input. */
  onStop(id: number): void {
    const stream = this.heard(id);
    if (stream === null || stream.sender === null) return;
    stream.isInputDone = true;
    stream.sender.close();
    this.checkDone(stream);
  }

  /** An upload's result. False: not one of these. */
  onReply(id: number, decode: (format: ItemFormat) => unknown): boolean {
    const stream = this.heard(id);
    if (stream === null) return false;
    const { settle } = stream;
    try {
      settle?.resolve(decode(stream.format));
      this.end(stream, null);
    } catch (error) {
      this.end(stream, { reason: error });
    }
    return true;
  }

  /** False: not one of these. */
  onError(id: number, error: Error): boolean {
    const stream = this.heard(id);
    if (stream === null) return false;
    this.end(stream, { reason: error });
    return true;
  }
}
