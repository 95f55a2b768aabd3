import type { PayloadCodec } from '../protocol/codec.js';

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
  readonly isIdempotent: boolean;
  /** Of events: what happens when the ring is full, and how long a sleeping sidecar may sleep on. */
  readonly overflow: 'drop' | 'wait';
  readonly waitMs: number;
  readonly lingerMs: number;
}
