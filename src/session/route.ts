import type { PayloadCodec } from '../protocol/codec.js';

// biome-ignore lint/suspicious/noExplicitAny: the contract's types end here
export type Handler = (payload: any, context: any) => unknown;

/** An entry of the client's name table, resolved to what this server has. */
export interface Route {
  readonly name: string;
  readonly kind: string;
  /** Null: unknown here, and why. */
  readonly handler: Handler | null;
  readonly codec: PayloadCodec | null;
  /** Of uploads and duplex streams: checks an item that has arrived, throws what is wrong with it. */
  readonly checkItem?: ((value: unknown) => unknown) | undefined;
  readonly problem: string;
  /** The handler looks at the bytes where they are. */
  readonly isBorrowed?: boolean;
}
