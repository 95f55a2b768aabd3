import { PillionError } from './errors.js';
import type { PayloadCodec } from './protocol/codec.js';
import { SharedMessage } from './session/push-writer.js';

/** A state at the sidecar: what is set here, every app reads locally. Made by `server.state(name)`. */
export class ServerState<T> {
  private readonly name: string;
  private readonly codec: PayloadCodec;
  private readonly maxMessageBytes: number;
  private readonly publish: (message: SharedMessage) => void;
  private latest: SharedMessage | null = null;
  private current: T | undefined;

  /** Internal: the server makes one for each state of its contract. */
  constructor(name: string, codec: PayloadCodec, maxMessageBytes: number, publish: (message: SharedMessage) => void) {
    this.name = name;
    this.codec = codec;
    this.maxMessageBytes = maxMessageBytes;
    this.publish = publish;
  }

  /** What was set last, or undefined. */
  get value(): T | undefined {
    return this.current;
  }

  /**
   * Gives all clients a new value, now and when they connect. A client that has not taken the one before gets just this one. The value is encoded here: later changes to the object are
   * not seen.
   *
   * @throws PillionError ERR_PILLION_ENCODE or _TOO_LARGE: then the value before stays.
   */
  set(value: T): void {
    const message = new SharedMessage(value, this.codec);
    const { length } = message.bytes;
    if (length > this.maxMessageBytes) {
      throw new PillionError(
        'ERR_PILLION_TOO_LARGE',
        `the value of "${this.name}" has ${length} bytes, allowed are maxMessageBytes=${this.maxMessageBytes}`,
      );
    }
    this.current = value;
    this.latest = message;
    this.publish(message);
  }

  /** Internal: the encoded value, for a client that has just connected. */
  get message(): SharedMessage | null {
    return this.latest;
  }
}
