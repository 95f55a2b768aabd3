import { PillionError, ProtocolError } from '../errors.js';
import { CREDIT, END, ERROR, tagOf } from '../protocol/frame.js';
import { alignedLength } from '../ring/layout.js';
import { discardSource, type Source } from '../streams/source.js';
import type { UploadPort } from '../streams/upload-writable.js';
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
  /** There is one more, or one that keeps the process alive or does so no longer. */
  onStreamsChanged(): void;
  /** This stream is over. */
  onStreamOver(id: number): void;
  /** The connection cannot go on. May be told at any moment. */
  onFault(error: unknown): void;
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
  /** The input is at its end, but the server has not been heard of: END would be lost if another one took the stream. */
  isEndOwed = false;
  /** Does the stream keep the process alive? */
  isReferenced = true;
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

  /** How many streams keep the process alive. */
  referencedCount = 0;

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
  async upload(target: Target, format: ItemFormat, source: Source, limits: StreamLimits): Promise<unknown> {
    let upload: ReturnType<ClientStreams['beginUpload']>;
    try {
      upload = this.beginUpload(target, format, limits);
    } catch (error) {
      discardSource(source);
      throw error;
    }
    const { stream, sender, result } = upload;
    sendAll(source, sender).then(
      (isWhole) => isWhole && this.finishInput(stream),
      (error) => sender.settled().then(() => this.breakOff(stream, error)),
    );
    return result;
  }

  /** The same, item by item. */
  openUpload(target: Target, format: ItemFormat, limits: StreamLimits): UploadPort {
    const { stream, sender, result } = this.beginUpload(target, format, limits);
    return {
      output: sender,
      result,
      finish: async () => {
        await sender.settled();
        this.finishInput(stream);
      },
      abort: (reason) => this.breakOff(stream, reason),
    };
  }

  private beginUpload(
    target: Target,
    format: ItemFormat,
    limits: StreamLimits,
  ): { stream: ClientStream; sender: ItemSender; result: Promise<unknown> } {
    const stream = this.begin(target, format, undefined, limits, 0);
    stream.isOutputDone = true;
    const result = new Promise((resolve, reject) => {
      stream.settle = { resolve, reject };
    });
    return { stream, sender: this.senderOf(stream), result };
  }

  /** Items both ways. */
  openDuplex(target: Target, format: ItemFormat, limits: StreamLimits): DuplexEnd<unknown, unknown> {
    const stream = this.begin(target, format, undefined, limits, limits.windowBytes);
    return new DuplexEnd(this.receiverOf(stream), this.senderOf(stream), {
      onFinished: () => this.finishInput(stream),
      onClose: () => {
        // Behind its END the handler does not take the CANCEL for an error.
        if (!stream.isInputDone && stream.hasBegun) this.whileOpen(stream, () => this.writeEnd(stream));
        this.stop(stream, null);
      },
      onDestroy: (error) => this.stop(stream, error === undefined ? null : { reason: error }),
      setReferenced: (isReferenced) => this.setReferenced(stream, isReferenced),
    });
  }

  private setReferenced(stream: ClientStream, isReferenced: boolean): void {
    if (stream.isReferenced === isReferenced || !this.streams.has(stream.id)) return;
    stream.isReferenced = isReferenced;
    this.referencedCount += isReferenced ? 1 : -1;
    if (isReferenced) stream.timer?.ref();
    else stream.timer?.unref();
    this.host.onStreamsChanged();
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
    this.referencedCount++;
    if (signal !== null) {
      stream.onAbort = () => this.stop(stream, { reason: signal.reason });
      signal.addEventListener('abort', stream.onAbort);
    }
    if (timeoutMs !== Number.POSITIVE_INFINITY) {
      stream.timer = setTimeout(
        () => this.stop(stream, { reason: timeoutError(format.name, timeoutMs) }),
        Math.min(timeoutMs, 2 ** 31 - 1),
      );
    }
    this.host.onStreamsChanged();
    return stream;
  }

  private receiverOf(stream: ClientStream): ItemReceiver<unknown> {
    const { limits, format, id } = stream;
    stream.receiver = new ItemReceiver<unknown>(
      limits.windowBytes,
      {
        onConsumed: (bytes) => this.whileOpen(stream, () => this.host.writer.writeControl(creditTag, id, bytes)),
        // Of a duplex stream one direction alone: the rest of it is thrown away as it comes.
        onCancel: () => stream.sender === null && this.stop(stream, null),
      },
      format.codec.name === 'raw',
    );
    return stream.receiver;
  }

  private senderOf(stream: ClientStream): ItemSender {
    stream.sender = new ItemSender(this.host.writer, stream.id, stream.format, 0);
    stream.sender.onFault = (error) => this.host.onFault(error);
    // An END is one record, and would overtake an opening in fragments.
    if (!stream.isOpeningWritten) stream.sender.hold();
    return stream.sender;
  }

  // --- ending ---------------------------------------------------------------------------------------------------

  /** A stream may be over while its items are still read, or its source still yields. */
  private whileOpen(stream: ClientStream, work: () => void): void {
    if (this.streams.get(stream.id) !== stream) return;
    try {
      work();
    } catch (error) {
      this.host.onFault(error);
    }
  }

  private finishInput(stream: ClientStream): void {
    this.whileOpen(stream, () => {
      if (stream.hasBegun) this.writeEnd(stream);
      else stream.isEndOwed = true;
    });
  }

  private writeEnd(stream: ClientStream): void {
    stream.isEndOwed = false;
    this.host.writer.write(endTag, stream.id, 0, NOTHING);
    stream.isInputDone = true;
    this.checkDone(stream);
  }

  /** The source of an upload failed: the handler is told why, unless the reason would overtake an item. */
  private breakOff(stream: ClientStream, error: unknown): void {
    this.whileOpen(stream, () => {
      if (!stream.hasBegun || stream.sender?.isSettled === false) this.host.cancelStream(stream.id);
      else this.host.writer.write(errorTag, stream.id, 0, stable(Buffer.from(JSON.stringify(errorPayload(error, false)))));
    });
    this.end(stream, { reason: error });
  }

  /** Nobody wants the stream any more. */
  private stop(stream: ClientStream, error: { reason: unknown } | null): void {
    this.whileOpen(stream, () => this.host.cancelStream(stream.id));
    this.end(stream, error);
  }

  private checkDone(stream: ClientStream): void {
    if (stream.settle === null && stream.isInputDone && stream.isOutputDone) this.end(stream, null);
  }

  /** Ends a stream; whoever reads it gets what has arrived, then the error, if there is one. */
  private end(stream: ClientStream, error: { reason: unknown } | null): void {
    const { id, limits, onAbort, timer, receiver, sender, settle } = stream;
    if (this.streams.get(id) !== stream) return;
    this.streams.delete(id);
    if (stream.isReferenced) this.referencedCount--;
    clearTimeout(timer);
    if (onAbort !== null) limits.signal?.removeEventListener('abort', onAbort);
    sender?.close();
    receiver?.end(error);
    if (error !== null) settle?.reject(error.reason);
    this.host.onStreamOver(id);
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
    if (stream.isEndOwed) this.writeEnd(stream);
    return stream;
  }

  /** An item begins to arrive. False: nobody wants it. */
  beginItem(id: number): boolean {
    const stream = this.heard(id);
    if (stream === null) return false;
    if (stream.receiver === null) throw new ProtocolError(`an item arrived for stream ${id}, which gives none`);
    if (stream.isOutputDone) throw new ProtocolError(`an item arrived for stream ${id} after its end`);
    stream.receiver.begin();
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
      this.stop(stream, { reason: error });
      return;
    }
    stream.receiver?.push(item, alignedLength(length));
  }

  onEnd(id: number): void {
    const stream = this.heard(id);
    if (stream === null) return;
    if (stream.receiver === null || stream.isOutputDone)
      throw new ProtocolError(`the end of stream ${id} arrived, which takes no items or had ended`);
    stream.isOutputDone = true;
    stream.receiver.end(null);
    this.checkDone(stream);
  }

  onCredit(id: number, bytes: number): void {
    const stream = this.heard(id);
    if (stream === null) return;
    if (stream.sender === null) throw new ProtocolError(`stream ${id} was granted credit, but has nothing to send`);
    stream.sender.grant(bytes);
  }

  /** The handler reads no more input. */
  onStop(id: number): void {
    const stream = this.heard(id);
    if (stream === null) return;
    if (stream.sender === null) throw new ProtocolError(`stream ${id} was told to stop, but sends nothing`);
    stream.isInputDone = true;
    stream.sender.close();
    this.checkDone(stream);
  }

  /** An upload's result. False: not one of these. */
  onReply(id: number, decode: (format: ItemFormat) => unknown): boolean {
    const stream = this.heard(id);
    if (stream === null) return false;
    const { settle } = stream;
    if (settle === null) throw new ProtocolError(`stream ${id} was answered like a call`);
    try {
      settle.resolve(decode(stream.format));
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

function timeoutError(name: string, timeoutMs: number): PillionError {
  return new PillionError('ERR_PILLION_TIMEOUT', `stream "${name}" did not end within ${timeoutMs} ms`);
}
