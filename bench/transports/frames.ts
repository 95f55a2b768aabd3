import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type { Range } from '../rig/payload.js';

/** Items in a stream of bytes: each behind its length; one without content ends a sequence. */

const headBytes = 4;
/** Written at once: a write for each small item would measure system calls. */
const chunkBytes = 64 * 1_024;

/** Resolves when the last byte was handed over; waits wherever the other side does not read. */
export async function writeFrames(to: Writable, items: Iterable<Uint8Array>): Promise<void> {
  let chunk = Buffer.allocUnsafeSlow(chunkBytes);
  let filled = 0;
  const makeRoom = async (needed: number) => {
    if (filled + needed <= chunk.length) return;
    await put(to, chunk.subarray(0, filled));
    // The stream may still hold the last one.
    chunk = Buffer.allocUnsafeSlow(Math.max(chunkBytes, needed));
    filled = 0;
  };
  for (const item of items) {
    // Only where it is needed, because an awaited promise for each item would cost more than the item.
    if (filled + headBytes + item.length > chunk.length) await makeRoom(headBytes + item.length);
    filled = chunk.writeUInt32LE(item.length, filled);
    chunk.set(item, filled);
    filled += item.length;
  }
  await makeRoom(headBytes);
  filled = chunk.writeUInt32LE(0, filled);
  await put(to, chunk.subarray(0, filled));
}

async function put(to: Writable, chunk: Uint8Array): Promise<void> {
  if (!to.write(chunk)) await once(to, 'drain');
}

export function frameOf(content: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafeSlow(headBytes + content.length);
  frame.writeUInt32LE(content.length, 0);
  frame.set(content, headBytes);
  return frame;
}

export function packRange(range: Range): Uint8Array {
  return Buffer.from(JSON.stringify(range));
}

export function unpackRange(bytes: Uint8Array): Range {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()) as Range;
}

/** Cuts items out of chunks, in place where they lie within one. */
export class FrameReader {
  readonly #take: (item: Uint8Array) => void;
  readonly #end: () => void;
  readonly #head = Buffer.alloc(headBytes);
  #headFilled = 0;
  /** An item of which parts are still to come. */
  #item: Buffer | undefined;
  #itemFilled = 0;

  constructor(take: (item: Uint8Array) => void, end: () => void) {
    this.#take = take;
    this.#end = end;
  }

  read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#item) {
        at = this.#collect(this.#item, chunk, at);
      } else if (this.#headFilled === 0 && chunk.length - at >= headBytes) {
        at = this.#begin(chunk.readUInt32LE(at), chunk, at + headBytes);
      } else {
        this.#head[this.#headFilled++] = chunk[at++] as number;
        if (this.#headFilled < headBytes) continue;
        this.#headFilled = 0;
        at = this.#begin(this.#head.readUInt32LE(0), chunk, at);
      }
    }
  }

  #begin(length: number, chunk: Buffer, at: number): number {
    if (length === 0) {
      this.#end();
      return at;
    }
    if (chunk.length - at >= length) {
      this.#take(chunk.subarray(at, at + length));
      return at + length;
    }
    this.#item = Buffer.allocUnsafeSlow(length);
    this.#itemFilled = 0;
    return at;
  }

  #collect(item: Buffer, chunk: Buffer, at: number): number {
    const part = chunk.subarray(at, at + item.length - this.#itemFilled);
    item.set(part, this.#itemFilled);
    this.#itemFilled += part.length;
    if (this.#itemFilled === item.length) {
      this.#item = undefined;
      this.#take(item);
    }
    return at + part.length;
  }
}
