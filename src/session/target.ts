import type { Encoded, PayloadCodec } from '../protocol/codec.js';
import { META } from '../protocol/frame.js';
import { behindHeaders, HeaderCodec } from '../protocol/headers.js';
import { NOTHING } from './frame-writer.js';

/** What a name of the contract means to the session, for what the client sends. */
export interface Target {
  readonly name: string;
  readonly kind: 'event' | 'method' | 'stream' | 'upload' | 'duplex';
  /** Kind and index as the second word of a record. */
  readonly tag: number;
  /** Of what is sent, and of the answer. */
  readonly codec: PayloadCodec;
  /** Of streams and duplex streams: checks an item that has arrived, throws what is wrong with it. */
  readonly checkItem: ((value: unknown) => unknown) | undefined;
  /** Uploads and duplex streams have no request: what their opening carries in its place. */
  readonly opening: Encoded;
  readonly isIdempotent: boolean;
  /** Of events: what happens when the ring is full, and how long a sleeping sidecar may sleep on. */
  readonly overflow: 'drop' | 'wait';
  readonly waitMs: number;
  readonly lingerMs: number;
}

/** The same with these headers before the payload, for one message. Everything further on needs to know nothing of headers. */
export function withHeaders(target: Target, block: Uint8Array | null): Target {
  if (block === null) return target;
  return {
    ...target,
    tag: target.tag | (META << 8),
    codec: new HeaderCodec(target.codec, block),
    opening: behindHeaders(block, NOTHING),
  };
}
