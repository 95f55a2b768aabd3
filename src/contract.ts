import { PillionError } from './errors.js';
import { type Codec, type CodecName, resolveCodec } from './protocol/codec.js';
import { MAX_NAMES } from './protocol/names.js';

/** Carries a type without a value: nothing exists under this key at run time. */
declare const types: unique symbol;

/** Options of `event`. */
export interface EventOptions {
  /** How payloads become bytes. Default `msgpack`. */
  codec?: CodecName | Codec;
}

/** Options of an `event` of plain bytes. */
export interface RawEventOptions {
  codec: 'raw';
  /**
   * The handler gets a view of the bytes where they lie, without a copy: valid until the handler is done, or what `context.retain()` returned was called. The app that sent
   * them can still change them while they are looked at. Default false: a copy.
   */
  borrow?: boolean;
}

/** Options of `method`. */
export interface MethodOptions {
  /** How requests and responses become bytes. Default `msgpack`. */
  codec?: CodecName | Codec;
  /**
   * Carrying it out twice does no harm. A call in flight when the sidecar dies is then handed to the next one, in place of being rejected with
   * `ERR_PILLION_PEER_DIED`. Default false.
   */
  idempotent?: boolean;
}

/** Something the app tells the sidecar, without an answer. */
export interface EventDefinition<T = unknown> {
  readonly kind: 'event';
  readonly codec: CodecName | Codec;
  readonly [types]?: { payload: T };
}

/** An event whose payload is the bytes themselves: it may be claimed, and borrowed. */
export interface RawEventDefinition<T = Uint8Array> extends EventDefinition<T> {
  readonly codec: 'raw';
  readonly borrow: boolean;
}

/** Something the app asks the sidecar. */
export interface MethodDefinition<Req = unknown, Res = unknown> {
  readonly kind: 'method';
  readonly codec: CodecName | Codec;
  readonly idempotent: boolean;
  readonly [types]?: { request: Req; response: Res };
}

// biome-ignore lint/suspicious/noExplicitAny: any definition, whatever its payload; unknown would not be assignable both ways
export type Definition = EventDefinition<any> | MethodDefinition<any, any>;
export type Definitions = Readonly<Record<string, Definition>>;

/** The typed list of what an app and its sidecar say to each other. Both import the same one. */
export interface Contract<D extends Definitions = Definitions> {
  readonly name: string;
  readonly definitions: D;
}

/** Names of a contract's events, and the payload of one. */
export type EventNames<D extends Definitions> = { [N in keyof D]: D[N] extends EventDefinition<infer _> ? N : never }[keyof D] & string;
/** Names of the events that can be claimed: those whose codec is `raw`. */
export type ClaimNames<D extends Definitions> = { [N in keyof D]: D[N] extends RawEventDefinition<infer _> ? N : never }[keyof D] & string;
export type PayloadOf<D extends Definitions, N extends keyof D> = D[N] extends EventDefinition<infer T> ? T : never;

/** Names of a contract's methods, and the request and response of one. */
export type MethodNames<D extends Definitions> = {
  [N in keyof D]: D[N] extends MethodDefinition<infer _Req, infer _Res> ? N : never;
}[keyof D] &
  string;
export type RequestOf<D extends Definitions, N extends keyof D> = D[N] extends MethodDefinition<infer Req, infer _Res> ? Req : never;
export type ResponseOf<D extends Definitions, N extends keyof D> = D[N] extends MethodDefinition<infer _Req, infer Res> ? Res : never;

/** Defines an event with payload `T`. */
export function event<T extends Uint8Array = Uint8Array>(options: RawEventOptions): RawEventDefinition<NoInfer<T>>;
export function event<T = void>(options?: EventOptions): EventDefinition<NoInfer<T>>;
export function event(options: EventOptions | RawEventOptions = {}): EventDefinition {
  const codec = checkedCodec(options.codec);
  const borrow = 'borrow' in options && options.borrow === true;
  if (borrow && codec !== 'raw') throw invalid('only the bytes of codec "raw" can be borrowed');
  return codec === 'raw' ? ({ kind: 'event', codec, borrow } as RawEventDefinition) : { kind: 'event', codec };
}

/** Defines a method with request `Req` and response `Res`. */
export function method<Req = void, Res = void>(options: MethodOptions = {}): MethodDefinition<NoInfer<Req>, NoInfer<Res>> {
  return { kind: 'method', codec: checkedCodec(options.codec), idempotent: options.idempotent === true };
}

const CONTRACT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Names a set of definitions. Both sides are matched by names, never by position, so they can be released independently: an added name is unknown to
 * the older side, and fails alone.
 *
 * @param name letters, digits, `.`, `_` and `-`, at most 64: it is also the default file name of the socket.
 */
export function contract<const D extends Definitions>(name: string, definitions: D): Contract<D> {
  if (typeof name !== 'string' || !CONTRACT_NAME.test(name)) {
    throw invalid(`a contract's name consists of 1 to 64 letters, digits, ".", "_" and "-"; got ${JSON.stringify(name)}`);
  }
  const entries = Object.entries(definitions ?? {});
  if (entries.length > MAX_NAMES) throw invalid(`a contract has at most ${MAX_NAMES} names, this one has ${entries.length}`);
  for (const [key, definition] of entries) {
    if (key.length === 0 || key.length > 256) throw invalid(`"${key}" is not a name: 1 to 256 characters`);
    if (definition?.kind !== 'event' && definition?.kind !== 'method') throw invalid(`"${key}" is not made by event() or method()`);
  }
  return Object.freeze({ name, definitions: Object.freeze({ ...definitions }) });
}

function checkedCodec(codec: CodecName | Codec = 'msgpack'): CodecName | Codec {
  resolveCodec(codec);
  return codec;
}

function invalid(message: string): PillionError {
  return new PillionError('ERR_PILLION_INVALID_ARGUMENT', message);
}
