import { PillionError, ProtocolError } from '../errors.js';
import { CANCEL, CREDIT, END, tagOf } from '../protocol/frame.js';
import { alignedLength } from '../ring/layout.js';
import { isSource } from '../streams/source.js';
import { DuplexEnd } from './duplex-end.js';
import { type FrameWriter, NOTHING } from './frame-writer.js';
import type { Context } from './handler-context.js';
import { ItemReceiver } from './item-receiver.js';
import { type ItemFormat, ItemSender, sendAll } from './item-sender.js';
import type { Handler, Route } from './route.js';

const endTag = tagOf(END, 0, 0);
const cancelTag = tagOf(CANCEL, 0, 0);
const creditTag = tagOf(CREDIT, 0, 0);

/** What opens a stream at the server. */
export interface Opening {
  readonly id: number;
  readonly route: Route;
  readonly kind: 'stream' | 'upload' | 'duplex';
  readonly format: ItemFormat;
  readonly handler: Handler;
  /** Of a `stream`. */
  readonly request: unknown;
  /** What the client grants at first. */
  readonly credit: number;
  readonly context: Context;
}

export interface ServerStreamsHost {
  readonly writer: FrameWriter;
  /** Bytes of items that a client may have on their way or unread. */
  readonly windowBytes: number;
  /** An upload is done: answer it like a call. */
  reply(opening: Opening, value: unknown): void;
  /** The handler failed: tell the client. */
  fail(opening: Opening, error: unknown): void;
  /** The stream ends early, which is nobody's failure: tell the client why. */
  refuse(opening: Opening, error: unknown): void;
  /** The session itself cannot go on. */
  onFault(error: unknown): void;
  /** Carries out a handler, from its beginning to its end, and tells those who watch. */
  trace(opening: Opening, work: () => Promise<void>): Promise<void>;
  /** This stream is over. */
  onStreamOver(id: number): void;
}

class ServerStream {
  receiver: ItemReceiver<unknown> | null = null;
  sender: ItemSender | null = null;
  isHandlerDone = false;
  isInputDone = true;
  /** The client was told that nobody reads its items: what is on its way is thrown away. */
  isInputRefused = false;
  readonly opening: Opening;

  constructor(opening: Opening) {
    this.opening = opening;
  }
}

/** The streams that one client has opened, by correlation id. */
export class ServerStreams {
  private readonly streams = new Map<number, ServerStream>();
  private readonly host: ServerStreamsHost;

  constructor(host: ServerStreamsHost) {
    this.host = host;
  }

  get size(): number {
    return this.streams.size;
  }

  has(id: number): boolean {
    return this.streams.has(id);
  }

  // --- handlers -------------------------------------------------------------------------------------------------

  open(opening: Opening): void {
    const stream = new ServerStream(opening);
    const { kind, id, credit, format } = opening;
    this.streams.set(id, stream);
    if (kind !== 'upload') {
      stream.sender = new ItemSender(this.host.writer, id, format, credit);
      stream.sender.onFault = (error) => this.host.onFault(error);
    }
    if (kind !== 'stream') {
      stream.isInputDone = false;
      stream.receiver = new ItemReceiver(
        this.host.windowBytes,
        {
          onConsumed: (bytes) => this.whileOpen(stream, () => this.host.writer.writeControl(creditTag, id, bytes)),
          onCancel: () => this.refuseInput(stream),
        },
        format.codec.name === 'raw',
      );
    }
    void this.host
      .trace(opening, () => this.run(stream))
      .then(
        () => this.finish(stream),
        (error) => this.breakOff(stream, error),
      );
    // Behind the handler's first step, so that a handler that refuses gets no input.
    if (stream.receiver !== null && !stream.isInputRefused && this.streams.has(id))
      this.host.writer.writeControl(creditTag, id, this.host.windowBytes);
  }

  private async run(stream: ServerStream): Promise<void> {
    const { opening, receiver, sender } = stream;
    const { kind, handler, context } = opening;
    if (kind === 'upload') {
      const value = await handler(receiver, context);
      if (this.streams.has(opening.id)) this.host.reply(opening, value);
      return;
    }
    if (kind === 'stream') {
      const items = await handler(opening.request, context);
      await this.sendItems(opening, items, sender as ItemSender);
      return;
    }
    const end = this.duplexEnd(stream);
    const items = await handler(end, context);
    const isTaken = end.isTaken && !isSource(items);
    if (isSource(items)) await end.writeAll(items);
    else if (!isTaken) await end.end();
    // Nobody has begun to read the input, and nobody is left who could: its sender would wait for ever.
    if (!isTaken && receiver?.isRead === false) receiver.cancel(null);
  }

  private async sendItems({ format }: Opening, items: unknown, sender: ItemSender): Promise<void> {
    if (!isSource(items)) {
      throw new PillionError('ERR_PILLION_HANDLER', `the handler of stream "${format.name}" returned nothing to iterate over`);
    }
    await sendAll(items, sender);
    await sender.settled();
  }

  private duplexEnd(stream: ServerStream): DuplexEnd<unknown, unknown> {
    const { id } = stream.opening;
    const end = new DuplexEnd<unknown, unknown>(stream.receiver as ItemReceiver<unknown>, stream.sender as ItemSender, {
      onFinished: () => {
        this.whileOpen(stream, () => this.host.writer.write(endTag, id, 0, NOTHING));
        stream.isHandlerDone = true;
        this.checkDuplexDone(stream);
      },
      onClose: () => {
        stream.receiver?.cancel(null);
        void end.end();
      },
      onDestroy: (error) => {
        if (error === undefined) this.breakOff(stream, new PillionError('ERR_PILLION_CLOSED', 'the handler has ended the stream'), true);
        else this.breakOff(stream, error);
      },
      // The server alone keeps its process alive.
      setReferenced: () => {},
    });
    return end;
  }

  /** The handler reads no more. Only of use while the client still sends. */
  private refuseInput(stream: ServerStream): void {
    if (stream.isInputDone || stream.isInputRefused) return;
    stream.isInputRefused = true;
    this.whileOpen(stream, () => {
      this.host.writer.writeControl(cancelTag, stream.opening.id, 0);
      if (stream.opening.kind === 'duplex') this.checkDuplexDone(stream);
    });
  }

  private checkDuplexDone(stream: ServerStream): void {
    if (stream.isHandlerDone && (stream.isInputDone || stream.isInputRefused)) this.remove(stream, null);
  }

  /** Handlers may go on when their stream is over. */
  private whileOpen(stream: ServerStream, work: () => void): void {
    if (this.streams.get(stream.opening.id) !== stream) return;
    try {
      work();
    } catch (error) {
      this.host.onFault(error);
    }
  }

  private finish(stream: ServerStream): void {
    const { kind, id } = stream.opening;
    // The end of a duplex stream's handler is not yet the end of its output.
    if (kind === 'duplex') return;
    if (kind === 'stream') this.whileOpen(stream, () => this.host.writer.write(endTag, id, 0, NOTHING));
    this.remove(stream, null);
  }

  /** Ends a stream with an error for the client, behind what was sent. */
  private breakOff(stream: ServerStream, error: unknown, isIntended = false): void {
    const settled = stream.sender?.settled() ?? Promise.resolve();
    void settled.then(() => {
      this.whileOpen(stream, () => (isIntended ? this.host.refuse(stream.opening, error) : this.host.fail(stream.opening, error)));
      this.remove(stream, null);
    });
  }

  /** Forgets a stream. With a reason its handler is told that it works for nobody. */
  private remove(stream: ServerStream, reason: Error | null): void {
    const { id, context } = stream.opening;
    if (this.streams.get(id) !== stream) return;
    this.streams.delete(id);
    if (reason !== null) context.abort(reason);
    stream.sender?.close();
    stream.receiver?.end(reason === null ? null : { reason });
    this.host.onStreamOver(id);
  }

  // --- what the client says ---------------------------------------------------------------------------------------

  /** An item begins to arrive. False: nobody wants it. */
  beginItem(id: number): boolean {
    const stream = this.streams.get(id);
    if (stream === undefined) return false;
    if (stream.receiver === null) throw new ProtocolError(`an item arrived for stream ${id}, which takes none`);
    if (stream.isInputDone) throw new ProtocolError(`an item arrived for stream ${id} after its end`);
    if (stream.isInputRefused) return false;
    stream.receiver.begin();
    return true;
  }

  /** An item has arrived; `decode` throws what is wrong with it. */
  onItem(id: number, length: number, decode: (format: ItemFormat) => unknown): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    let item: unknown;
    try {
      const { format } = stream.opening;
      item = decode(format);
      if (format.check !== undefined) item = format.check(item);
    } catch (error) {
      stream.receiver?.end({ reason: error });
      this.breakOff(stream, error);
      return;
    }
    stream.receiver?.push(item, alignedLength(length));
  }

  onEnd(id: number): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    if (stream.receiver === null) throw new ProtocolError(`stream ${id} takes no items, but was told their end`);
    if (stream.isInputDone) throw new ProtocolError(`stream ${id} was told the end of its items twice`);
    stream.isInputDone = true;
    stream.receiver.end(null);
    if (stream.opening.kind === 'duplex') this.checkDuplexDone(stream);
  }

  /** The client's source failed. */
  onError(id: number, error: Error): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    if (stream.receiver === null) throw new ProtocolError(`stream ${id} takes no items, but was told that their source failed`);
    stream.isInputDone = true;
    stream.receiver.end({ reason: error });
    // What the handler makes of it interests nobody any more.
    this.remove(stream, error);
  }

  onCredit(id: number, bytes: number): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    if (stream.sender === null) throw new ProtocolError(`stream ${id} was granted credit, but has nothing to send`);
    stream.sender.grant(bytes);
  }

  onCancel(id: number, reason: Error): void {
    const stream = this.streams.get(id);
    if (stream !== undefined) this.remove(stream, reason);
  }

  /** The client is gone, or the server leaves. */
  cancelAll(reason: Error, isTold: boolean): void {
    for (const stream of [...this.streams.values()]) {
      if (isTold) this.whileOpen(stream, () => this.host.refuse(stream.opening, reason));
      this.remove(stream, reason);
    }
  }
}
