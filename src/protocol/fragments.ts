import { ProtocolError } from '../errors.js';

/** docs/protocol.md, section 5: how many unfinished messages one peer may have. */
export const MAX_UNFINISHED_MESSAGES = 64;

interface Unfinished {
  readonly parts: Uint8Array[];
  /** `aux` of the first fragment. */
  readonly aux: number;
  length: number;
}

/** A message that is complete again. */
export interface Reassembled {
  readonly bytes: Uint8Array;
  readonly aux: number;
}

/**
 * Puts fragments together. Grows by what has arrived, never by what is claimed.
 */
export class Reassembly {
  private readonly unfinished = new Map<number, Unfinished>();
  private readonly maxMessageBytes: number;
  private totalBytes = 0;

  constructor(maxMessageBytes: number) {
    this.maxMessageBytes = maxMessageBytes;
  }

  /** No message is unfinished: a frame without MORE is a whole message. */
  get isEmpty(): boolean {
    return this.unfinished.size === 0;
  }

  /** Is a message of this kind and id unfinished? */
  has(kind: number, correlationId: number): boolean {
    return this.unfinished.has(keyOf(kind, correlationId));
  }

  /**
   * Takes one fragment, whose bytes must be the caller's to give away. Returns the message when this was the last one (`more` false), else null.
   */
  add(kind: number, correlationId: number, aux: number, more: boolean, bytes: Uint8Array): Reassembled | null {
    const key = keyOf(kind, correlationId);
    let message = this.unfinished.get(key);
    if (message === undefined) {
      if (this.unfinished.size >= MAX_UNFINISHED_MESSAGES) {
        throw new ProtocolError(`more than ${MAX_UNFINISHED_MESSAGES} messages are unfinished`);
      }
      message = { parts: [], aux, length: 0 };
      this.unfinished.set(key, message);
    } else if (aux >>> 0 !== message.length) {
      throw new ProtocolError(`a fragment says it starts at byte ${aux >>> 0}, but ${message.length} bytes have arrived`);
    }
    message.length += bytes.length;
    this.totalBytes += bytes.length;
    if (message.length > this.maxMessageBytes) throw new ProtocolError(`a message is longer than maxMessageBytes=${this.maxMessageBytes}`);
    if (this.totalBytes > 2 * this.maxMessageBytes) throw new ProtocolError('the unfinished messages together are too long');
    message.parts.push(bytes);
    if (more) return null;
    this.drop(kind, correlationId);
    return { bytes: Buffer.concat(message.parts, message.length), aux: message.aux };
  }

  /** Forgets an unfinished message. */
  drop(kind: number, correlationId: number): void {
    const key = keyOf(kind, correlationId);
    const message = this.unfinished.get(key);
    if (message === undefined) return;
    this.totalBytes -= message.length;
    this.unfinished.delete(key);
  }
}

function keyOf(kind: number, correlationId: number): number {
  return kind * 2 ** 32 + (correlationId >>> 0);
}
