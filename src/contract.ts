import type { MetricDefinition } from './counters/definitions.js';
import { PillionError } from './errors.js';
import { type Codec, type CodecName, resolveCodec } from './protocol/codec.js';
import { MAX_NAMES } from './protocol/names.js';
import type { SlowClientPolicy } from './session/push-writer.js';

export type { SlowClientPolicy } from './session/push-writer.js';

/** Carries a type without a value: nothing exists under this key at run time. */
declare const types: unique symbol;

/** Options of `event`. */
export interface EventOptions {
  /** How payloads become bytes. Default `msgpack`. */
  codec?: CodecName | Codec;
  /** What `send` does when the ring is full: `drop` the event (default), or `wait`, i.e. block its thread for at most `waitMs`. */
  overflow?: 'drop' | 'wait';
  /** In ms; 100 by default. */
  waitMs?: number;
  /** A sidecar that sleeps need not be woken for this event at once, but within so many ms. Default 0: at once. */
  lingerMs?: number;
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

/** Options of `stream`, `upload` and `duplex`. */
export interface StreamOptions {
  /** How requests, items and results become bytes. Default `msgpack`. */
  codec?: CodecName | Codec;
}

/** Options of `state`. */
export interface StateOptions<T> {
  /** How values become bytes. Default `msgpack`. */
  codec?: CodecName | Codec;
  /** What the app reads until the sidecar has set a value. */
  default?: T;
}

/** Options of `broadcast`. */
export interface BroadcastOptions {
  /** How payloads become bytes. Default `msgpack`. */
  codec?: CodecName | Codec;
  /** Default `drop`. */
  slowClient?: SlowClientPolicy;
}

/** Something the app tells the sidecar, without an answer. */
export interface EventDefinition<T = unknown> {
  readonly kind: 'event';
  readonly codec: CodecName | Codec;
  readonly overflow: 'drop' | 'wait';
  readonly waitMs: number;
  readonly lingerMs: number;
  readonly [types]?: { payload: T };
}

/** Something the app asks the sidecar. */
export interface MethodDefinition<Req = unknown, Res = unknown> {
  readonly kind: 'method';
  readonly codec: CodecName | Codec;
  readonly idempotent: boolean;
  readonly [types]?: { request: Req; response: Res };
}

/** One request, many items in answer. */
export interface StreamDefinition<Req = unknown, Item = unknown> {
  readonly kind: 'stream';
  readonly codec: CodecName | Codec;
  readonly [types]?: { request: Req; output: Item };
}

/** Many items from the app, one result. */
export interface UploadDefinition<Item = unknown, Res = unknown> {
  readonly kind: 'upload';
  readonly codec: CodecName | Codec;
  readonly [types]?: { input: Item; response: Res };
}

/** Items both ways, each at its own pace. */
export interface DuplexDefinition<In = unknown, Out = unknown> {
  readonly kind: 'duplex';
  readonly codec: CodecName | Codec;
  readonly [types]?: { input: In; output: Out };
}

/** A value that the sidecar sets and every app reads locally. */
export interface StateDefinition<T = unknown> {
  readonly kind: 'state';
  readonly codec: CodecName | Codec;
  readonly default: T | undefined;
  readonly [types]?: { value: T };
}

/** Something the sidecar tells its apps. */
export interface BroadcastDefinition<T = unknown> {
  readonly kind: 'broadcast';
  readonly codec: CodecName | Codec;
  readonly slowClient: SlowClientPolicy;
  readonly [types]?: { payload: T };
}

/* biome-ignore-start lint/suspicious/noExplicitAny: any definition, whatever its payload; unknown would not be assignable both ways */
/** What travels. */
export type MessageDefinition =
  | EventDefinition<any>
  | MethodDefinition<any, any>
  | StreamDefinition<any, any>
  | UploadDefinition<any, any>
  | DuplexDefinition<any, any>
  | StateDefinition<any>
  | BroadcastDefinition<any>;
/* biome-ignore-end lint/suspicious/noExplicitAny: see above */
export type Definition = MessageDefinition | MetricDefinition;
export type Definitions = Readonly<Record<string, Definition>>;

/** The typed list of what an app and its sidecar say to each other. Both import the same one. */
export interface Contract<D extends Definitions = Definitions> {
  readonly name: string;
  readonly definitions: D;
}

/** The names of a contract that are of one kind. */
export type NamesOf<D extends Definitions, K extends Definition['kind']> = {
  [N in keyof D]: D[N]['kind'] extends K ? N : never;
}[keyof D] &
  string;

/** Names of a contract's events, and the payload of one. */
export type EventNames<D extends Definitions> = NamesOf<D, 'event'>;
export type PayloadOf<D extends Definitions, N extends keyof D> =
  D[N] extends EventDefinition<infer T> ? T : D[N] extends BroadcastDefinition<infer T> ? T : never;

/** Names of a contract's methods, and the request and response of one. */
export type MethodNames<D extends Definitions> = NamesOf<D, 'method'>;
export type RequestOf<D extends Definitions, N extends keyof D> =
  D[N] extends MethodDefinition<infer Req, infer _Res> ? Req : D[N] extends StreamDefinition<infer Req, infer _Item> ? Req : never;
export type ResponseOf<D extends Definitions, N extends keyof D> =
  D[N] extends MethodDefinition<infer _Req, infer Res> ? Res : D[N] extends UploadDefinition<infer _Item, infer Res> ? Res : never;

/** What an upload or duplex takes, and what a stream or duplex gives. */
export type InputOf<D extends Definitions, N extends keyof D> =
  D[N] extends UploadDefinition<infer In, infer _Res> ? In : D[N] extends DuplexDefinition<infer In, infer _Out> ? In : never;
export type OutputOf<D extends Definitions, N extends keyof D> =
  D[N] extends StreamDefinition<infer _Req, infer Out> ? Out : D[N] extends DuplexDefinition<infer _In, infer Out> ? Out : never;

/** The value of a state. */
export type ValueOf<D extends Definitions, N extends keyof D> = D[N] extends StateDefinition<infer T> ? T : never;

/** Defines an event with payload `T`. */
export function event<T = void>(options: EventOptions = {}): EventDefinition<NoInfer<T>> {
  const { overflow = 'drop' } = options;
  if (overflow !== 'drop' && overflow !== 'wait') throw invalid(`overflow=${String(overflow)} is neither "drop" nor "wait"`);
  return {
    kind: 'event',
    codec: checkedCodec(options.codec),
    overflow,
    waitMs: milliseconds('waitMs', options.waitMs, 100),
    lingerMs: milliseconds('lingerMs', options.lingerMs, 0),
  };
}

/** Defines a method with request `Req` and response `Res`. */
export function method<Req = void, Res = void>(options: MethodOptions = {}): MethodDefinition<NoInfer<Req>, NoInfer<Res>> {
  return { kind: 'method', codec: checkedCodec(options.codec), idempotent: options.idempotent === true };
}

/** Defines a stream: one request `Req`, any number of `Item` from the sidecar, as fast as the app reads them. */
export function stream<Req = void, Item = void>(options: StreamOptions = {}): StreamDefinition<NoInfer<Req>, NoInfer<Item>> {
  return { kind: 'stream', codec: checkedCodec(options.codec) };
}

/** Defines an upload: any number of `Item` from the app, as fast as the sidecar reads them, then one `Res`. */
export function upload<Item = void, Res = void>(options: StreamOptions = {}): UploadDefinition<NoInfer<Item>, NoInfer<Res>> {
  return { kind: 'upload', codec: checkedCodec(options.codec) };
}

/** Defines a duplex stream: `In` from the app, `Out` from the sidecar, each side at its own pace. */
export function duplex<In = void, Out = void>(options: StreamOptions = {}): DuplexDefinition<NoInfer<In>, NoInfer<Out>> {
  return { kind: 'duplex', codec: checkedCodec(options.codec) };
}

/** Defines a state with values `T`: the sidecar sets it, every app reads it locally; only the latest value counts. */
export function state<T = void>(options: StateOptions<NoInfer<T>> = {}): StateDefinition<NoInfer<T>> {
  return { kind: 'state', codec: checkedCodec(options.codec), default: options.default };
}

/** Defines an event from the sidecar to its apps, with payload `T`. */
export function broadcast<T = void>(options: BroadcastOptions = {}): BroadcastDefinition<NoInfer<T>> {
  const { slowClient = 'drop' } = options;
  if (!['drop', 'latest', 'disconnect'].includes(slowClient)) {
    throw invalid(`slowClient=${String(slowClient)} is none of "drop", "latest", "disconnect"`);
  }
  return { kind: 'broadcast', codec: checkedCodec(options.codec), slowClient };
}

const MESSAGE_KINDS: readonly string[] = [
  'event',
  'method',
  'stream',
  'upload',
  'duplex',
  'state',
  'broadcast',
] satisfies MessageDefinition['kind'][];
const METRIC_KINDS: readonly string[] = ['counter', 'gauge', 'histogram'] satisfies MetricDefinition['kind'][];
const KINDS = [...MESSAGE_KINDS, ...METRIC_KINDS];

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
    if (!KINDS.includes(definition?.kind)) throw invalid(`"${key}" is not made by ${KINDS.join('(), ')}()`);
  }
  return Object.freeze({ name, definitions: Object.freeze({ ...definitions }) });
}

/** What travels as messages, in the order of the name table. */
export function messagesOf(definitions: Definitions): [name: string, MessageDefinition][] {
  return Object.entries(definitions).filter((entry): entry is [string, MessageDefinition] => MESSAGE_KINDS.includes(entry[1].kind));
}

/** What does not travel: numbers in shared memory. */
export function metricsOf(definitions: Definitions): [name: string, MetricDefinition][] {
  return Object.entries(definitions).filter((entry): entry is [string, MetricDefinition] => METRIC_KINDS.includes(entry[1].kind));
}

function milliseconds(name: string, value: unknown, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !(value >= 0 && value <= 60_000))
    throw invalid(`${name}=${String(value)} is not a number from 0 to 60000`);
  return value;
}

function checkedCodec(codec: CodecName | Codec = 'msgpack'): CodecName | Codec {
  resolveCodec(codec);
  return codec;
}

function invalid(message: string): PillionError {
  return new PillionError('ERR_PILLION_INVALID_ARGUMENT', message);
}
