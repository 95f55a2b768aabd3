import { allocateBlock } from '../channel/blocks.js';
import { PillionError, ProtocolError, RemoteError } from '../errors.js';
import { copyOut, type PayloadCodec } from '../protocol/codec.js';
import { Reassembly } from '../protocol/fragments.js';
import {
  CANCEL,
  CREDIT,
  checkControlLength,
  checkCredit,
  checkTag,
  END,
  ERROR,
  type ErrorPayload,
  EVENT,
  flagsOf,
  GOODBYE,
  ITEM,
  kindOf,
  META,
  MORE,
  nameOfKind,
  PING,
  REPLY,
  STATE,
  tagOf,
  targetOf,
} from '../protocol/frame.js';
import type { RingConsumer } from '../ring/consumer.js';
import type { PushFormat } from './client-pushes.js';
import type { ItemFormat } from './item-sender.js';

/** Who hears of what a server's frames say. */
export interface AnswerListener {
  /** The call's value, or an upload's; `decode` throws what the caller is to be told. */
  onAnswer(id: number, decode: (codec: PayloadCodec) => unknown): void;
  onError(id: number, error: Error): void;
  onPing(consumer: RingConsumer): void;
  onGoodbye(): void;
  /** Is anybody waiting for this answer? */
  isPending(id: number): boolean;
  readonly streams: StreamListener;
  readonly pushes: PushListener;
}

/** Who hears of streams. */
export interface StreamListener {
  /** An item begins to arrive. False: nobody wants it. */
  beginItem(id: number): boolean;
  has(id: number): boolean;
  onItem(id: number, length: number, decode: (format: ItemFormat) => unknown): void;
  onEnd(id: number): void;
  onCredit(id: number, bytes: number): void;
  onStop(id: number): void;
}

/** Who hears of what the server says unasked. */
export interface PushListener {
  formatOf(kind: number, index: number): PushFormat | undefined;
  wants(format: PushFormat): boolean;
  /** `bytes` are null if there were too many. */
  onState(format: PushFormat, bytes: Uint8Array | null): void;
  onBroadcast(format: PushFormat, bytes: Uint8Array | null, hasHeaders: boolean): void;
}

const WHOLE_REPLY = tagOf(REPLY, 0, 0);
const WHOLE_ITEM = tagOf(ITEM, 0, 0);

/** Reads what a server may send. Throws ProtocolError at the first frame that it must not. */
export class AnswerReader {
  /** States and broadcasts read so far: while they come, this side dozes rather than sleeps. */
  pushCount = 0;
  private readonly maxMessageBytes: number;
  private reassembly: Reassembly;

  constructor(maxMessageBytes: number) {
    this.maxMessageBytes = maxMessageBytes;
    this.reassembly = new Reassembly(maxMessageBytes, allocateBlock);
  }

  /** Forgets unfinished messages: a new connection begins. */
  reset(): void {
    this.reassembly = new Reassembly(this.maxMessageBytes, allocateBlock);
  }

  /** Forgets what has arrived of an item whose stream is over: the server need not send the rest. */
  forget(id: number): void {
    this.reassembly.drop(ITEM, id);
  }

  /** No answer has arrived in part. */
  get isBetweenMessages(): boolean {
    return this.reassembly.isEmpty;
  }

  /** Takes the next record if it is the whole answer to this call; else leaves it unread. */
  isWholeReply(consumer: RingConsumer, id: number): boolean {
    if (!this.reassembly.isEmpty || this.maxMessageBytes < consumer.maxPayload || !consumer.peekIs(WHOLE_REPLY, id) || !consumer.next())
      return false;
    if (consumer.tag === WHOLE_REPLY && consumer.correlationId === (id | 0)) return true;
    throw new ProtocolError('the header of a record changed while it was read');
  }

  /** Takes the record that `consumer` stands on. */
  read(consumer: RingConsumer, listener: AnswerListener): void {
    const { tag } = consumer;
    const id = consumer.correlationId >>> 0;
    if (this.reassembly.isEmpty && consumer.payloadLength <= this.maxMessageBytes) {
      if (tag === WHOLE_REPLY) {
        listener.onAnswer(id, (codec) => codec.decode(consumer, consumer.payloadOffset, consumer.payloadLength));
        return;
      }
      if (tag === WHOLE_ITEM) {
        const { payloadLength } = consumer;
        if (!listener.streams.beginItem(id)) return;
        listener.streams.onItem(id, payloadLength, ({ codec }) => codec.decode(consumer, consumer.payloadOffset, payloadLength));
        return;
      }
    }
    checkTag(tag, 'server');
    const kind = kindOf(tag);
    switch (kind) {
      case REPLY:
      case ERROR:
      case ITEM:
        this.readAnswer(consumer, kind, id, listener);
        return;
      case STATE:
      case EVENT:
        this.readPush(consumer, kind, id, listener.pushes);
        return;
      default:
        checkControlLength(tag, consumer.payloadLength);
    }
    switch (kind) {
      case PING:
        listener.onPing(consumer);
        break;
      case GOODBYE:
        listener.onGoodbye();
        break;
      case END:
        if (this.reassembly.has(ITEM, id) && listener.streams.has(id))
          throw new ProtocolError('the end of a stream came in the middle of an item');
        listener.streams.onEnd(id);
        break;
      case CREDIT:
        checkCredit(id, consumer.aux);
        listener.streams.onCredit(id, consumer.aux);
        break;
      case CANCEL:
        listener.streams.onStop(id);
        break;
      default:
    }
  }

  private readAnswer(consumer: RingConsumer, kind: number, id: number, listener: AnswerListener): void {
    const isFirst = !this.reassembly.has(kind, id);
    const isWanted = kind === ITEM ? (isFirst ? listener.streams.beginItem(id) : listener.streams.has(id)) : listener.isPending(id);
    if (!isWanted) {
      // It crossed a cancellation. Not even its fragments are worth keeping.
      this.reassembly.drop(kind, id);
      return;
    }
    const message = this.collect(consumer, kind, id);
    if (message !== null) this.deliver(kind, id, message, listener);
  }

  /** The bytes of a message whose last frame this is, its own; null for its bytes if it is too long. Null while it is unfinished. */
  private collect(consumer: RingConsumer, kind: number, id: number): { bytes: Uint8Array | null; length: number } | null {
    const { payloadOffset, payloadLength, aux } = consumer;
    const hasMore = (flagsOf(consumer.tag) & MORE) !== 0;
    if (hasMore || this.reassembly.has(kind, id)) return this.reassembly.add(consumer.tag, id, aux, consumer, payloadOffset, payloadLength);
    if (payloadLength > this.maxMessageBytes) return { bytes: null, length: payloadLength };
    return { bytes: copyOut(consumer, payloadOffset, payloadLength), length: payloadLength };
  }

  private deliver(
    kind: number,
    id: number,
    { bytes, length }: { bytes: Uint8Array | null; length: number },
    listener: AnswerListener,
  ): void {
    const tooLarge = (what: string): PillionError =>
      new PillionError('ERR_PILLION_TOO_LARGE', `the ${what} is longer than maxMessageBytes=${this.maxMessageBytes}`);
    if (kind === ITEM) {
      listener.streams.onItem(id, length, ({ codec }) => {
        if (bytes === null) throw tooLarge('item');
        return codec.decodeOwned(bytes);
      });
    } else if (bytes === null) {
      listener.onError(id, tooLarge('answer'));
    } else if (kind === REPLY) {
      listener.onAnswer(id, (codec) => codec.decodeOwned(bytes));
    } else {
      listener.onError(id, parseError(bytes));
    }
  }

  private readPush(consumer: RingConsumer, kind: number, id: number, pushes: PushListener): void {
    const index = targetOf(consumer.tag);
    const format = pushes.formatOf(kind, index);
    if (format === undefined) throw new ProtocolError(`a frame of kind ${nameOfKind(kind)} has target ${index}, which is no such name`);
    this.pushCount++;
    const isWhole = (flagsOf(consumer.tag) & MORE) === 0 && !this.reassembly.has(kind, id);
    if (isWhole && !pushes.wants(format)) return;
    const message = this.collect(consumer, kind, id);
    if (message === null) return;
    if (kind === STATE) pushes.onState(format, message.bytes);
    else if (pushes.wants(format)) pushes.onBroadcast(format, message.bytes, (flagsOf(consumer.tag) & META) !== 0);
  }
}

/** The handler's error as the caller sees it. */
export function parseError(bytes: Uint8Array): RemoteError {
  let payload: Partial<ErrorPayload>;
  try {
    payload = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')) as Partial<ErrorPayload>;
  } catch {
    throw new ProtocolError('the payload of an ERROR frame is not JSON');
  }
  const text = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);
  return new RemoteError(
    text(payload?.code, 'ERR_PILLION_HANDLER'),
    text(payload?.message, 'the handler failed'),
    text(payload?.name, 'Error'),
    typeof payload?.stack === 'string' ? payload.stack : undefined,
  );
}
