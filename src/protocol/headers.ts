import { messageOf, PillionError } from '../errors.js';
import type { Block } from '../ring/copy.js';
import { copyOut, type Encoded, type PayloadCodec } from './codec.js';

/** What travels beside a payload: strings by name, for example `traceparent`. */
export type MessageHeaders = Readonly<Record<string, string>>;

/** docs/protocol.md, "Headers": the most that the headers of one message take, as JSON. */
export const MAX_HEADER_BYTES = 8192;

const LENGTH_BYTES = 4;

/** Of every message without headers. */
export const NO_HEADERS: MessageHeaders = Object.freeze(Object.create(null));

/** A copy that nobody can change and that has no names but its own, not even `__proto__`. Throws if it is no plain object, or something in it no string. */
export function ownHeaders(headers: unknown): MessageHeaders {
  if (!isPlainObject(headers)) throw invalidHeaders('headers are a plain object of strings');
  const own: Record<string, string> = Object.create(null);
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (typeof value !== 'string')
      throw invalidHeaders(`header "${name}" is of type ${value === null ? 'null' : typeof value}, not a string`);
    own[name] = value;
  }
  return Object.freeze(own);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  // Of whatever realm.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function invalidHeaders(message: string): PillionError {
  return new PillionError('ERR_PILLION_INVALID_ARGUMENT', message);
}

/** Headers as they stand before a value: length, JSON, padding. Null for none, which are not sent. Throws for what cannot be sent. */
export function encodeHeaders(headers: MessageHeaders | undefined): Uint8Array | null {
  if (headers === undefined) return null;
  const own = ownHeaders(headers);
  if (Object.keys(own).length === 0) return null;
  const json = Buffer.from(JSON.stringify(own));
  if (json.length > MAX_HEADER_BYTES) {
    throw new PillionError('ERR_PILLION_TOO_LARGE', `the headers have ${json.length} bytes, allowed are ${MAX_HEADER_BYTES}`);
  }
  // Not `alloc`, whose memory may belong to a pool: what follows may be kept for long.
  const block = new Uint8Array(valueOffset(json.length));
  new DataView(block.buffer).setUint32(0, json.length, true);
  block.set(json, LENGTH_BYTES);
  return block;
}

/** Where the value begins, from the start of the message. */
function valueOffset(jsonLength: number): number {
  return (LENGTH_BYTES + jsonLength + 7) & ~7;
}

/** A value behind headers, as bytes of its own. */
export function behindHeaders(block: Uint8Array, payload: Encoded): Encoded {
  const { bytes, start, end } = payload;
  const whole = new Uint8Array(block.length + end - start);
  whole.set(block);
  whole.set(bytes.subarray(start, end), block.length);
  return { bytes: whole, words: new Int32Array(whole.buffer, 0, whole.length >> 2), start: 0, end: whole.length, isStable: true };
}

/** A codec that puts the same headers before whatever it encodes. What comes back has none. */
export class HeaderCodec implements PayloadCodec {
  readonly name: string;
  private readonly codec: PayloadCodec;
  private readonly block: Uint8Array;

  constructor(codec: PayloadCodec, block: Uint8Array) {
    this.name = codec.name;
    this.codec = codec;
    this.block = block;
  }

  encode(value: unknown): Encoded {
    return behindHeaders(this.block, this.codec.encode(value));
  }

  decode(source: Block, offset: number, length: number): unknown {
    return this.codec.decode(source, offset, length);
  }

  decodeOwned(bytes: Uint8Array): unknown {
    return this.codec.decodeOwned(bytes);
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The headers of a message, and how far into the message its value begins. The source may be the peer's to change: each byte is read once. Throws what is wrong. */
export function readHeaders(source: Block, offset: number, length: number): { headers: MessageHeaders; valueOffset: number } {
  if (length < LENGTH_BYTES) throw badHeaders(`of ${length} bytes has no room for the length of its headers`);
  const { bytes } = source;
  const jsonLength =
    ((bytes[offset] as number) |
      ((bytes[offset + 1] as number) << 8) |
      ((bytes[offset + 2] as number) << 16) |
      ((bytes[offset + 3] as number) << 24)) >>>
    0;
  if (jsonLength > MAX_HEADER_BYTES) throw badHeaders(`has headers of ${jsonLength} bytes, allowed are ${MAX_HEADER_BYTES}`);
  const begin = valueOffset(jsonLength);
  if (begin > length) throw badHeaders(`of ${length} bytes has headers of ${jsonLength} bytes`);
  const json = copyOut(source, offset + LENGTH_BYTES, jsonLength);
  let headers: MessageHeaders;
  try {
    headers = ownHeaders(JSON.parse(decoder.decode(json)));
  } catch (error) {
    throw badHeaders(`has headers that are no JSON object of strings: ${messageOf(error)}`);
  }
  return { headers, valueOffset: begin };
}

function badHeaders(problem: string): PillionError {
  return new PillionError('ERR_PILLION_DECODE', `a message ${problem}`);
}
