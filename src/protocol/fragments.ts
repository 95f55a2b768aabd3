import { ProtocolError } from '../errors.js';
import { type Block, copyBytes, privateCopy } from '../ring/copy.js';
import { flagsOf, kindOf, MORE, targetOf } from './frame.js';

/** docs/protocol.md, section 5: how many unfinished messages one peer may have. */
export const MAX_UNFINISHED_MESSAGES = 64;

/** A message that is complete again. */
export interface Reassembled {
  /** The caller's own; null if the message was longer than allowed and its bytes were thrown away as they came. */
  readonly bytes: Uint8Array | null;
  /** Of all of it, kept or not. */
  readonly length: number;
  /** `aux` of the first fragment. */
  readonly aux: number;
}

/** Gives memory with any content. */
export type Allocate = (bytes: number) => Buffer;

class Unfinished implements Reassembled {
  readonly target: number;
  readonly aux: number;
  length = 0;
  private buffer: Buffer | null;
  private readonly allocate: Allocate;

  constructor(target: number, aux: number, likelyLength: number, allocate: Allocate) {
    this.target = target;
    this.aux = aux;
    this.allocate = allocate;
    this.buffer = allocate(likelyLength);
  }

  get bytes(): Uint8Array | null {
    const { buffer, length } = this;
    if (buffer === null || buffer.length === length) return buffer;
    // Do not make the receiver keep much more than it got.
    return buffer.length > 2 * length ? privateCopy(buffer, 0, length) : buffer.subarray(0, length);
  }

  get heldBytes(): number {
    return this.buffer === null ? 0 : this.buffer.length;
  }

  append(source: Block, offset: number, length: number, maxBytes: number): void {
    const start = this.length;
    this.length += length;
    if (this.length > maxBytes) this.buffer = null;
    if (this.buffer === null) return;
    if (this.length > this.buffer.length) {
      const grown = this.allocate(Math.min(maxBytes, Math.max(this.length, 2 * this.buffer.length)));
      grown.set(this.buffer.subarray(0, start));
      this.buffer = grown;
    }
    copyBytes(source, offset, { bytes: this.buffer, words: null }, start, length);
  }
}

/**
 * Puts fragments together. Grows with what has arrived, never with what is claimed; a message that gets too long is still followed to its end, without
 * its bytes, so that it fails alone.
 */
export class Reassembly {
  private readonly unfinished = new Map<number, Unfinished>();
  private readonly maxMessageBytes: number;
  private readonly allocate: Allocate;
  /** Messages of one connection tend to be alike; the peer has sent as much before, so this is no claim. */
  private lastLength = 0;

  constructor(maxMessageBytes: number, allocate: Allocate = Buffer.allocUnsafeSlow) {
    this.maxMessageBytes = maxMessageBytes;
    this.allocate = allocate;
  }

  /** No message is unfinished: a frame without MORE is a whole message. */
  get isEmpty(): boolean {
    return this.unfinished.size === 0;
  }

  /** Is a message of this kind and id unfinished? */
  has(kind: number, correlationId: number): boolean {
    return this.unfinished.has(keyOf(kind, correlationId));
  }

  /** Copies one fragment out of the ring. Returns the message when this was the last one (without MORE), else null. */
  add(tag: number, correlationId: number, aux: number, source: Block, offset: number, length: number): Reassembled | null {
    const key = keyOf(kindOf(tag), correlationId);
    let message = this.unfinished.get(key);
    if (length === 0) throw new ProtocolError('a fragment is empty');
    if (message === undefined) {
      if (this.unfinished.size >= MAX_UNFINISHED_MESSAGES) {
        throw new ProtocolError(`more than ${MAX_UNFINISHED_MESSAGES} messages are unfinished`);
      }
      message = new Unfinished(targetOf(tag), aux, this.lastLength, this.allocate);
      this.unfinished.set(key, message);
    } else if (message.target !== targetOf(tag)) {
      throw new ProtocolError(`a fragment has target ${targetOf(tag)}, but the first one of its message had ${message.target}`);
    } else if (aux >>> 0 !== message.length) {
      throw new ProtocolError(`a fragment says it starts at byte ${aux >>> 0}, but ${message.length} bytes have arrived`);
    }
    if (message.length + length > 0xffffffff) throw new ProtocolError('a message has more than 4 GiB');
    message.append(source, offset, length, this.maxMessageBytes);
    if ((flagsOf(tag) & MORE) !== 0) {
      this.checkTotal();
      return null;
    }
    this.unfinished.delete(key);
    this.lastLength = Math.min(message.length, this.maxMessageBytes);
    return message;
  }

  private checkTotal(): void {
    if (this.unfinished.size === 1) return;
    let total = 0;
    for (const message of this.unfinished.values()) total += message.heldBytes;
    if (total > 3 * this.maxMessageBytes) throw new ProtocolError('the unfinished messages together are too long');
  }

  /** Forgets an unfinished message. */
  drop(kind: number, correlationId: number): void {
    this.unfinished.delete(keyOf(kind, correlationId));
  }
}

function keyOf(kind: number, correlationId: number): number {
  return kind * 2 ** 32 + (correlationId >>> 0);
}
