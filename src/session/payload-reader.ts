import type { LentPayload } from '../channel/loans.js';
import { PillionError } from '../errors.js';
import type { PayloadCodec } from '../protocol/codec.js';
import type { Reassembled } from '../protocol/fragments.js';
import { readHeaders } from '../protocol/headers.js';
import type { RingConsumer } from '../ring/consumer.js';
import type { Lender } from './borrow.js';
import type { Context } from './handler-context.js';
import type { Route } from './route.js';

export interface LendingRoute extends Route {
  readonly lender: Lender;
}

/** A message that is not, or no longer, in the ring; null: it is the record on which the consumer stands. */
export type Message = Reassembled | LentPayload | null;

export function isLent(message: Message): message is LentPayload {
  return message !== null && 'isPrivate' in message;
}

/** What a message brings: its headers and its value. Throws what is wrong with them, which is the message's own affair and not the connection's. */
export class PayloadReader {
  private readonly consumer: RingConsumer;
  private readonly maxMessageBytes: number;
  /** Borrowed views that somebody may still look at. */
  private borrowed = 0;
  private onReturned: (() => void) | null = null;
  private readonly onReturn = (): void => {
    if (--this.borrowed === 0) this.onReturned?.();
  };

  constructor(consumer: RingConsumer, maxMessageBytes: number) {
    this.consumer = consumer;
    this.maxMessageBytes = maxMessageBytes;
  }

  /** Calls back when nobody looks at the memory of this connection any more. */
  whenReturned(callback: () => void): void {
    if (this.borrowed === 0) callback();
    else this.onReturned = callback;
  }

  /** What the handler gets of a message whose value begins at `offset`: a view if the route borrows, else a value of its own. */
  payloadOf(route: LendingRoute, message: Message, offset: number, context: Context): unknown {
    if (route.isBorrowed && offset === 0) return this.lend(route, message, context);
    return this.decode(route, message, offset);
  }

  /** The value of a message, which begins at `offset`. */
  decode(route: Route, message: Message, offset: number): unknown {
    const codec = route.codec as PayloadCodec;
    if (isLent(message)) {
      if (message.length > this.maxMessageBytes) throw this.tooLarge(route);
      return message.isPrivate ? codec.decodeOwned(message.bytes) : codec.decode(message, message.offset, message.length);
    }
    if (message === null) {
      const { consumer } = this;
      if (consumer.payloadLength > this.maxMessageBytes) throw this.tooLarge(route);
      return codec.decode(consumer, consumer.payloadOffset + offset, consumer.payloadLength - offset);
    }
    if (message.bytes === null) throw this.tooLarge(route);
    return codec.decodeOwned(offset === 0 ? message.bytes : message.bytes.subarray(offset));
  }

  /** Gives the context the headers of a message. Returns where its value begins. */
  takeHeaders(route: Route, message: Reassembled | null, context: Context): number {
    const { consumer } = this;
    if (message?.bytes === null) throw this.tooLarge(route);
    const { headers, valueOffset } =
      message === null
        ? readHeaders(consumer, consumer.payloadOffset, consumer.payloadLength)
        : readHeaders({ bytes: message.bytes, words: null }, 0, message.length);
    context.headers = headers;
    return valueOffset;
  }

  /** The bytes of a message where they are. Throws what is wrong with it. */
  private bytesOf(route: Route, message: Message): Uint8Array {
    const { consumer, maxMessageBytes } = this;
    if (isLent(message)) {
      if (message.length <= maxMessageBytes) return message.bytes.subarray(message.offset, message.offset + message.length);
    } else if (message !== null) {
      if (message.bytes !== null) return message.bytes;
    } else if (consumer.payloadLength <= maxMessageBytes) {
      return consumer.bytes.subarray(consumer.payloadOffset, consumer.payloadOffset + consumer.payloadLength);
    }
    throw this.tooLarge(route);
  }

  private lend(route: LendingRoute, message: Message, context: Context): Uint8Array {
    const bytes = this.bytesOf(route, message);
    this.borrowed++;
    return route.lender.lend(context, bytes, this.onReturn);
  }

  private tooLarge(route: Route): PillionError {
    return new PillionError(
      'ERR_PILLION_TOO_LARGE',
      `"${route.name}" was sent more than the sidecar's maxMessageBytes=${this.maxMessageBytes}`,
    );
  }
}
