import { PillionError, ProtocolError, RemoteError } from '../errors.js';
import { copyOut, type PayloadCodec } from '../protocol/codec.js';
import { Reassembly } from '../protocol/fragments.js';
import {
  checkControlLength,
  checkTag,
  ERROR,
  type ErrorPayload,
  flagsOf,
  GOODBYE,
  kindOf,
  MORE,
  PING,
  REPLY,
  tagOf,
} from '../protocol/frame.js';
import type { RingConsumer } from '../ring/consumer.js';

/** Who hears of what a server's frames say. */
export interface AnswerListener {
  /** The call's value; `decode` throws what the caller is to be told. */
  onAnswer(id: number, decode: (codec: PayloadCodec) => unknown): void;
  onError(id: number, error: Error): void;
  onPing(consumer: RingConsumer): void;
  onGoodbye(): void;
  /** Is anybody waiting for this answer? */
  isPending(id: number): boolean;
}

const WHOLE_REPLY = tagOf(REPLY, 0, 0);

/** Reads what a server may send. Throws ProtocolError at the first frame that it must not. */
export class AnswerReader {
  private readonly maxMessageBytes: number;
  private reassembly: Reassembly;

  constructor(maxMessageBytes: number) {
    this.maxMessageBytes = maxMessageBytes;
    this.reassembly = new Reassembly(maxMessageBytes);
  }

  /** Forgets unfinished messages: a new connection begins. */
  reset(): void {
    this.reassembly = new Reassembly(this.maxMessageBytes);
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
    if (tag === WHOLE_REPLY && this.reassembly.isEmpty && consumer.payloadLength <= this.maxMessageBytes) {
      listener.onAnswer(id, (codec) => codec.decode(consumer, consumer.payloadOffset, consumer.payloadLength));
      return;
    }
    checkTag(tag, 'server');
    const kind = kindOf(tag);
    if (kind === REPLY || kind === ERROR) {
      this.readAnswer(consumer, kind, id, listener);
      return;
    }
    checkControlLength(tag, consumer.payloadLength);
    switch (kind) {
      case PING:
        listener.onPing(consumer);
        break;
      case GOODBYE:
        listener.onGoodbye();
        break;
      default:
    }
  }

  private readAnswer(consumer: RingConsumer, kind: number, id: number, listener: AnswerListener): void {
    const { payloadOffset, payloadLength } = consumer;
    const hasMore = (flagsOf(consumer.tag) & MORE) !== 0;
    if (!listener.isPending(id)) {
      // It crossed a cancellation. Not even its fragments are worth keeping.
      this.reassembly.drop(kind, id);
      return;
    }
    if (!hasMore && !this.reassembly.has(kind, id)) {
      if (payloadLength > this.maxMessageBytes) this.deliver(kind, id, null, listener);
      else this.deliver(kind, id, copyOut(consumer, payloadOffset, payloadLength), listener);
      return;
    }
    const message = this.reassembly.add(kind, id, consumer.aux, hasMore, consumer, payloadOffset, payloadLength);
    if (message !== null) this.deliver(kind, id, message.bytes, listener);
  }

  private deliver(kind: number, id: number, bytes: Uint8Array | null, listener: AnswerListener): void {
    if (bytes === null) {
      listener.onError(id, new PillionError('ERR_PILLION_TOO_LARGE', `the answer is longer than maxMessageBytes=${this.maxMessageBytes}`));
    } else if (kind === REPLY) {
      listener.onAnswer(id, (codec) => codec.decodeOwned(bytes));
    } else {
      listener.onError(id, parseError(bytes));
    }
  }
}

/** The handler's error as the caller sees it. */
function parseError(bytes: Uint8Array): RemoteError {
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
