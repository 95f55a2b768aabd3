/**
 * Copies between the ring and private memory. Up to a few hundred bytes a loop over words beats the built-in copy, which has to make a
 * view of the source first.
 */
const LOOP_LIMIT_BYTES = 512;

/** Bytes with a second view as words, or null where alignment forbids one. Offsets count from the start of both. */
export interface Block {
  readonly bytes: Uint8Array;
  readonly words: Int32Array | null;
}

/** A private block that grows on demand and is used again and again. */
export class Scratch implements Block {
  bytes: Uint8Array;
  words: Int32Array;

  constructor(length: number) {
    const buffer = new ArrayBuffer(length);
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
  }

  reserve(length: number): void {
    if (length <= this.bytes.length) return;
    const buffer = new ArrayBuffer(2 ** Math.ceil(Math.log2(length)));
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
  }
}

/** Copies `length` bytes. Offsets with a word view on both sides must be multiples of 4, which records and scratch blocks guarantee. */
export function copyBytes(from: Block, fromOffset: number, to: Block, toOffset: number, length: number): void {
  const source = from.words;
  const target = to.words;
  if (length > LOOP_LIMIT_BYTES || source === null || target === null) {
    to.bytes.set(
      fromOffset === 0 && length === from.bytes.length ? from.bytes : from.bytes.subarray(fromOffset, fromOffset + length),
      toOffset,
    );
    return;
  }
  const words = length >> 2;
  const sourceWord = fromOffset >> 2;
  const targetWord = toOffset >> 2;
  for (let i = 0; i < words; i++) target[targetWord + i] = source[sourceWord + i] as number;
  for (let i = words << 2; i < length; i++) to.bytes[toOffset + i] = from.bytes[fromOffset + i] as number;
}

/** A copy that shares nothing. Not `slice`, which on a Buffer makes a view. */
export function privateCopy(bytes: Uint8Array, start: number, end: number): Uint8Array {
  // Zeroing what is overwritten at once costs as much as the copy.
  const copy = end - start > 4096 ? Buffer.allocUnsafeSlow(end - start) : new Uint8Array(end - start);
  copy.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
  return copy;
}
