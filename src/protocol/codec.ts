import { Packr, RESET_BUFFER_MODE, REUSE_BUFFER_MODE, Unpackr } from 'msgpackr';
import { messageOf, PillionError } from '../errors.js';
import { type Block, copyBytes, Scratch } from '../ring/copy.js';

/**
 * A way to turn values into bytes and back. Both sides must agree on what a name means.
 *
 * `encode` returns bytes that stay untouched until its next call. `decode` gets bytes of its own, which it may keep.
 */
export interface Codec {
  readonly name: string;
  encode(value: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

/** The codecs that every pillion has: `msgpack` (default), `json` and `raw` (a `Uint8Array` in, a `Uint8Array` out). */
export type CodecName = 'msgpack' | 'json' | 'raw';

/** An encoded value: the bytes from `start` to `end` of a block. There is one of these per codec, overwritten by each call. */
export interface Encoded extends Block {
  bytes: Uint8Array;
  words: Int32Array | null;
  start: number;
  end: number;
  /** Nobody will change these bytes while the message is on its way, so they need not be copied if it has to wait. */
  isStable: boolean;
}

/** What the session works with: encodes into a block that is used again, decodes straight from the ring through a private copy. */
export interface PayloadCodec {
  readonly name: string;
  encode(value: unknown): Encoded;
  decode(source: Block, offset: number, length: number): unknown;
  /** The same for bytes that are private already and may be kept. */
  decodeOwned(bytes: Uint8Array): unknown;
}

const SCRATCH_BYTES = 64 * 1024;
/** Above this V8 keeps the elements of a typed array outside its heap, which makes a small array expensive. */
const ON_HEAP_BYTES = 64;

/** Bytes of the caller's own, copied from the ring. */
export function copyOut(source: Block, offset: number, length: number): Uint8Array {
  if (length <= ON_HEAP_BYTES) return source.bytes.slice(offset, offset + length);
  const copy = Buffer.allocUnsafe(length);
  copy.set(source.bytes.subarray(offset, offset + length));
  return copy;
}

// One copy of an incoming payload at a time is decoded per thread, so all codecs share this block. Never decode from the ring itself: V8 reads
// UTF-8 twice, and a peer that changes the bytes in between makes it write out of bounds.
const inbound = new Scratch(SCRATCH_BYTES);

function copyToScratch(source: Block, offset: number, length: number): void {
  inbound.reserve(length);
  copyBytes(source, offset, inbound, 0, length);
}

// Large values leave a large block behind; do not keep it.
function shrink(scratch: Scratch): Scratch {
  return scratch.bytes.length > 16 * SCRATCH_BYTES ? new Scratch(SCRATCH_BYTES) : scratch;
}

class RawCodec implements PayloadCodec {
  readonly name = 'raw';
  private readonly encoded: Encoded = { bytes: new Uint8Array(0), words: null, start: 0, end: 0, isStable: true };

  encode(value: unknown): Encoded {
    if (!(value instanceof Uint8Array)) {
      throw new PillionError('ERR_PILLION_ENCODE', `codec "raw" sends a Uint8Array or Buffer, not ${describe(value)}`);
    }
    this.encoded.bytes = value;
    this.encoded.end = value.length;
    return this.encoded;
  }

  decode(source: Block, offset: number, length: number): Uint8Array {
    return copyOut(source, offset, length);
  }

  decodeOwned(bytes: Uint8Array): Uint8Array {
    return bytes;
  }
}

class JsonCodec implements PayloadCodec {
  readonly name = 'json';
  private scratch = new Scratch(SCRATCH_BYTES);
  private readonly encoder = new TextEncoder();
  private readonly decoder = new TextDecoder('utf-8', { fatal: true });
  private readonly encoded: Encoded = { bytes: this.scratch.bytes, words: this.scratch.words, start: 0, end: 0, isStable: false };

  encode(value: unknown): Encoded {
    const encoded = this.encoded;
    encoded.end = 0;
    if (value === undefined) return encoded;
    let text: string | undefined;
    try {
      text = JSON.stringify(value);
    } catch (cause) {
      throw encodeError('json', cause);
    }
    if (text === undefined) throw new PillionError('ERR_PILLION_ENCODE', `codec "json" cannot send ${describe(value)}`);
    this.scratch = shrink(this.scratch);
    // A UTF-16 unit never needs more than 3 bytes.
    this.scratch.reserve(text.length * 3);
    encoded.bytes = this.scratch.bytes;
    encoded.words = this.scratch.words;
    encoded.end = this.encoder.encodeInto(text, this.scratch.bytes).written;
    return encoded;
  }

  decode(source: Block, offset: number, length: number): unknown {
    if (length === 0) return undefined;
    copyToScratch(source, offset, length);
    return this.decodeOwned(inbound.bytes.subarray(0, length));
  }

  decodeOwned(bytes: Uint8Array): unknown {
    if (bytes.length === 0) return undefined;
    try {
      return JSON.parse(this.decoder.decode(bytes));
    } catch (cause) {
      throw decodeError('json', cause);
    }
  }
}

class MsgpackCodec implements PayloadCodec {
  readonly name = 'msgpack';
  // moreTypes: without it a typed array other than Uint8Array would be sent with wrong bytes.
  private readonly packr = new Packr({ useRecords: false, moreTypes: true });
  // Values from a peer: no clone references, no shared structures, nothing that points into the scratch block.
  private readonly unpackr = new Unpackr({ useRecords: false, copyBuffers: true, structuredClone: false, int64AsType: 'auto' as 'number' });
  private readonly encoded: Encoded = { bytes: new Uint8Array(0), words: null, start: 0, end: 0, isStable: false };
  private readonly range = { start: 0, end: 0 };
  private source: Uint8Array | null = null;
  private sourceBuffer: Buffer = Buffer.alloc(0);

  constructor() {
    // msgpackr would turn a function into undefined without a word.
    (this.packr as unknown as { writeFunction(value: unknown): never }).writeFunction = (value) => {
      throw new Error(`cannot send ${describe(value)}`);
    };
  }

  encode(value: unknown): Encoded {
    const encoded = this.encoded;
    if (value === undefined) {
      encoded.start = encoded.end = 0;
      return encoded;
    }
    try {
      // msgpackr's target is one block for the whole process. We write behind what others have packed there, and give the place back at once: it is
      // copied before anybody packs again. A block of our own as target would be handed to those others, who keep what they pack.
      const packed = this.packr.pack(value, REUSE_BUFFER_MODE + RESET_BUFFER_MODE) as Buffer & { start: number; end: number };
      encoded.start = packed.start;
      encoded.end = packed.end;
      if (packed !== encoded.bytes) {
        encoded.bytes = packed;
        encoded.words = packed.byteOffset % 4 === 0 ? new Int32Array(packed.buffer, packed.byteOffset, packed.length >> 2) : null;
      }
      return encoded;
    } catch (cause) {
      throw encodeError('msgpack', cause);
    }
  }

  decode(source: Block, offset: number, length: number): unknown {
    if (length === 0) return undefined;
    copyToScratch(source, offset, length);
    if (this.source !== inbound.bytes) {
      this.source = inbound.bytes;
      this.sourceBuffer = Buffer.from(inbound.bytes.buffer, 0, inbound.bytes.length);
    }
    this.range.end = length;
    try {
      return this.unpackr.unpack(this.sourceBuffer, this.range);
    } catch (cause) {
      throw decodeError('msgpack', cause);
    }
  }

  decodeOwned(bytes: Uint8Array): unknown {
    if (bytes.length === 0) return undefined;
    try {
      return this.unpackr.unpack(bytes as Buffer);
    } catch (cause) {
      throw decodeError('msgpack', cause);
    }
  }
}

class CustomCodec implements PayloadCodec {
  readonly name: string;
  private readonly codec: Codec;
  private readonly encoded: Encoded = { bytes: new Uint8Array(0), words: null, start: 0, end: 0, isStable: false };

  constructor(codec: Codec) {
    this.name = codec.name;
    this.codec = codec;
  }

  encode(value: unknown): Encoded {
    let bytes: unknown;
    try {
      bytes = this.codec.encode(value);
    } catch (cause) {
      throw encodeError(this.name, cause);
    }
    if (!(bytes instanceof Uint8Array)) {
      throw new PillionError('ERR_PILLION_ENCODE', `codec "${this.name}" encoded to ${describe(bytes)}, expected a Uint8Array`);
    }
    this.encoded.bytes = bytes;
    this.encoded.end = bytes.length;
    return this.encoded;
  }

  decode(source: Block, offset: number, length: number): unknown {
    return this.decodeOwned(copyOut(source, offset, length));
  }

  decodeOwned(bytes: Uint8Array): unknown {
    try {
      return this.codec.decode(bytes);
    } catch (cause) {
      throw decodeError(this.name, cause);
    }
  }
}

const builtIn: Record<CodecName, PayloadCodec> = {
  msgpack: new MsgpackCodec(),
  json: new JsonCodec(),
  raw: new RawCodec(),
};

/** The working form of a codec option. Throws if it is neither a known name nor a codec. */
export function resolveCodec(codec: CodecName | Codec): PayloadCodec {
  if (typeof codec === 'string') {
    if (Object.hasOwn(builtIn, codec)) return builtIn[codec];
    throw new PillionError('ERR_PILLION_INVALID_ARGUMENT', `unknown codec "${codec}": use "msgpack", "json", "raw" or a Codec object`);
  }
  const { name, encode, decode } = codec ?? {};
  if (typeof name !== 'string' || typeof encode !== 'function' || typeof decode !== 'function') {
    throw new PillionError('ERR_PILLION_INVALID_ARGUMENT', 'a codec needs name, encode and decode');
  }
  if (name.length === 0 || name.length > 256 || Object.hasOwn(builtIn, name)) {
    throw new PillionError('ERR_PILLION_INVALID_ARGUMENT', `a codec of one's own cannot be called "${name}"`);
  }
  return new CustomCodec(codec);
}

/** A codec by the name that a peer announced, or undefined if only the peer knows it. */
export function builtInCodec(name: string): PayloadCodec | undefined {
  return Object.hasOwn(builtIn, name) ? builtIn[name as CodecName] : undefined;
}

function encodeError(codec: string, cause: unknown): PillionError {
  if (cause instanceof PillionError) return cause;
  const what =
    cause instanceof RangeError && /call stack/.test(cause.message)
      ? 'the value refers to itself or is nested too deeply'
      : messageOf(cause);
  return new PillionError('ERR_PILLION_ENCODE', `codec "${codec}" cannot encode the value: ${what}`, { cause });
}

function decodeError(codec: string, cause: unknown): PillionError {
  return new PillionError('ERR_PILLION_DECODE', `codec "${codec}" cannot decode the payload: ${messageOf(cause)}`, { cause });
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'object') return `an object of class ${value.constructor?.name ?? 'null'}`;
  return `a value of type ${typeof value}`;
}
