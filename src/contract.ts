import type { MetricDefinition } from './counters/definitions.js';
import { PillionError } from './errors.js';
import { type Codec, type CodecName, resolveCodec } from './protocol/codec.js';
import { MAX_NAMES } from './protocol/names.js';
import type { SlowClientPolicy } from './session/push-writer.js';
import { checkedSchema, type SchemaInput, type SchemaOutput, type StandardSchema } from './validation.js';

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

/** Options of an `event` of plain bytes. */
export interface RawEventOptions extends Omit<EventOptions, 'codec'> {
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

/**
 * What a definition's schemas say. They are checked by whoever receives: `input` by the sidecar, `output` by the app. A schema may give the receiver something else than the sender
 * gave, so definitions have two types for each value: the one as received, and the one as sent, which is the same without a schema.
 */
export interface Checked {
  /** Of what the app sends: events, requests, items. */
  readonly input?: StandardSchema;
  /** Of what the sidecar sends: answers, items, states, broadcasts. */
  readonly output?: StandardSchema;
}

/** Something the app tells the sidecar, without an answer. */
export interface EventDefinition<T = unknown, Sent = T> extends Checked {
  readonly kind: 'event';
  readonly codec: CodecName | Codec;
  readonly overflow: 'drop' | 'wait';
  readonly waitMs: number;
  readonly lingerMs: number;
  readonly [types]?: { payload: T; sentPayload: Sent };
}

/** An event whose payload is the bytes themselves: it may be claimed, and borrowed. */
export interface RawEventDefinition<T = Uint8Array> extends EventDefinition<T> {
  readonly codec: 'raw';
  readonly borrow: boolean;
}

/** Something the app asks the sidecar. */
export interface MethodDefinition<Req = unknown, Res = unknown, SentReq = Req, SentRes = Res> extends Checked {
  readonly kind: 'method';
  readonly codec: CodecName | Codec;
  readonly idempotent: boolean;
  readonly [types]?: { request: Req; response: Res; sentRequest: SentReq; sentResponse: SentRes };
}

/** One request, many items in answer. */
export interface StreamDefinition<Req = unknown, Item = unknown, SentReq = Req, SentItem = Item> extends Checked {
  readonly kind: 'stream';
  readonly codec: CodecName | Codec;
  readonly [types]?: { request: Req; output: Item; sentRequest: SentReq; sentOutput: SentItem };
}

/** Many items from the app, one result. */
export interface UploadDefinition<Item = unknown, Res = unknown, SentItem = Item, SentRes = Res> extends Checked {
  readonly kind: 'upload';
  readonly codec: CodecName | Codec;
  readonly [types]?: { input: Item; response: Res; sentInput: SentItem; sentResponse: SentRes };
}

/** Items both ways, each at its own pace. */
export interface DuplexDefinition<In = unknown, Out = unknown, SentIn = In, SentOut = Out> extends Checked {
  readonly kind: 'duplex';
  readonly codec: CodecName | Codec;
  readonly [types]?: { input: In; output: Out; sentInput: SentIn; sentOutput: SentOut };
}

/** A value that the sidecar sets and every app reads locally. */
export interface StateDefinition<T = unknown, Sent = T> extends Checked {
  readonly kind: 'state';
  readonly codec: CodecName | Codec;
  readonly default: T | undefined;
  readonly [types]?: { value: T; sentValue: Sent };
}

/** Something the sidecar tells its apps. */
export interface BroadcastDefinition<T = unknown, Sent = T> extends Checked {
  readonly kind: 'broadcast';
  readonly codec: CodecName | Codec;
  readonly slowClient: SlowClientPolicy;
  readonly [types]?: { payload: T; sentPayload: Sent };
}

/* biome-ignore-start lint/suspicious/noExplicitAny: any definition, whatever its payload; unknown would not be assignable both ways */
/** What travels as messages. */
export type MessageDefinition =
  | EventDefinition<any, any>
  | MethodDefinition<any, any, any, any>
  | StreamDefinition<any, any, any, any>
  | UploadDefinition<any, any, any, any>
  | DuplexDefinition<any, any, any, any>
  | StateDefinition<any, any>
  | BroadcastDefinition<any, any>;
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

/** One of the types that a definition carries. */
type TypeOf<T extends Definition, Key extends string> = T extends MessageDefinition
  ? Key extends keyof NonNullable<T[typeof types]>
    ? NonNullable<T[typeof types]>[Key]
    : never
  : never;

/** Names of a contract's events, and the payload of one. */
export type EventNames<D extends Definitions> = NamesOf<D, 'event'>;
/** Names of the events that can be claimed: those whose codec is `raw`. */
export type ClaimNames<D extends Definitions> = { [N in keyof D]: D[N] extends RawEventDefinition<infer _> ? N : never }[keyof D] & string;
export type PayloadOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'payload'>;

/** Names of a contract's methods, and the request and response of one. */
export type MethodNames<D extends Definitions> = NamesOf<D, 'method'>;
export type RequestOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'request'>;
export type ResponseOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'response'>;

/** What an upload or duplex takes, and what a stream or duplex gives. */
export type InputOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'input'>;
export type OutputOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'output'>;

/** The value of a state. */
export type ValueOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'value'>;

/** The same as their senders have to give them: with a schema that changes values, not what the receiver gets. */
export type SentPayloadOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'sentPayload'>;
export type SentRequestOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'sentRequest'>;
export type SentResponseOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'sentResponse'>;
export type SentInputOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'sentInput'>;
export type SentOutputOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'sentOutput'>;
export type SentValueOf<D extends Definitions, N extends keyof D> = TypeOf<D[N], 'sentValue'>;

/** Types come from type arguments or from schemas, never from both. */
type NoSchema<Key extends string> = { [K in Key]?: undefined };
type MaybeSchema = StandardSchema | undefined;
type Sent<S extends MaybeSchema, None = void> = S extends StandardSchema ? SchemaInput<S> : None;
type Received<S extends MaybeSchema, None = void> = S extends StandardSchema ? SchemaOutput<S> : None;

/** Defines an event with payload `T`, or with what `schema` says. */
export function event<T extends Uint8Array = Uint8Array>(options: RawEventOptions & NoSchema<'schema'>): RawEventDefinition<NoInfer<T>>;
export function event<T = void>(options?: EventOptions & NoSchema<'schema'>): EventDefinition<NoInfer<T>>;
export function event<S extends StandardSchema>(options: EventOptions & { schema: S }): EventDefinition<Received<S>, Sent<S>>;
export function event(options: (EventOptions | RawEventOptions) & { schema?: MaybeSchema } = {}): EventDefinition {
  const codec = checkedCodec(options.codec);
  const borrow = 'borrow' in options && options.borrow === true;
  if (borrow && codec !== 'raw') throw invalid('only the bytes of codec "raw" can be borrowed');
  if (borrow && options.schema !== undefined) throw invalid('what is borrowed is not checked: a schema would have to read it');
  const { overflow = 'drop' } = options;
  if (overflow !== 'drop' && overflow !== 'wait') throw invalid(`overflow=${String(overflow)} is neither "drop" nor "wait"`);
  const waitMs = milliseconds('waitMs', options.waitMs, 100);
  const lingerMs = milliseconds('lingerMs', options.lingerMs, 0);
  const definition = { kind: 'event', codec, overflow, waitMs, lingerMs, ...schemas({ input: ['schema', options.schema] }) } as const;
  return codec === 'raw' ? ({ ...definition, borrow } as RawEventDefinition) : definition;
}

/** Defines a method with request `Req` and response `Res`, or with what the schemas `input` and `output` say. */
export function method<Req = void, Res = void>(
  options?: MethodOptions & NoSchema<'input' | 'output'>,
): MethodDefinition<NoInfer<Req>, NoInfer<Res>>;
export function method<I extends MaybeSchema = undefined, O extends MaybeSchema = undefined>(
  options: MethodOptions & { input?: I; output?: O },
): MethodDefinition<Received<I>, Received<O>, Sent<I>, Sent<O>>;
export function method(options: MethodOptions & { input?: MaybeSchema; output?: MaybeSchema } = {}): MethodDefinition {
  return {
    kind: 'method',
    codec: checkedCodec(options.codec),
    idempotent: options.idempotent === true,
    ...schemas({ input: ['input', options.input], output: ['output', options.output] }),
  };
}

/** Defines a stream: one request `Req`, any number of `Item` from the sidecar, as fast as the app reads them; or what the schemas `input` and `item` say. */
export function stream<Req = void, Item = void>(
  options?: StreamOptions & NoSchema<'input' | 'item'>,
): StreamDefinition<NoInfer<Req>, NoInfer<Item>>;
export function stream<I extends MaybeSchema = undefined, O extends MaybeSchema = undefined>(
  options: StreamOptions & { input?: I; item?: O },
): StreamDefinition<Received<I>, Received<O>, Sent<I>, Sent<O>>;
export function stream(options: StreamOptions & { input?: MaybeSchema; item?: MaybeSchema } = {}): StreamDefinition {
  return {
    kind: 'stream',
    codec: checkedCodec(options.codec),
    ...schemas({ input: ['input', options.input], output: ['item', options.item] }),
  };
}

/** Defines an upload: any number of `Item` from the app, as fast as the sidecar reads them, then one `Res`; or what the schemas `item` and `output` say. */
export function upload<Item = void, Res = void>(
  options?: StreamOptions & NoSchema<'item' | 'output'>,
): UploadDefinition<NoInfer<Item>, NoInfer<Res>>;
export function upload<I extends MaybeSchema = undefined, O extends MaybeSchema = undefined>(
  options: StreamOptions & { item?: I; output?: O },
): UploadDefinition<Received<I>, Received<O>, Sent<I>, Sent<O>>;
export function upload(options: StreamOptions & { item?: MaybeSchema; output?: MaybeSchema } = {}): UploadDefinition {
  return {
    kind: 'upload',
    codec: checkedCodec(options.codec),
    ...schemas({ input: ['item', options.item], output: ['output', options.output] }),
  };
}

/** Defines a duplex stream: `In` from the app, `Out` from the sidecar, each side at its own pace; or the items that the schemas `input` and `output` say. */
export function duplex<In = void, Out = void>(
  options?: StreamOptions & NoSchema<'input' | 'output'>,
): DuplexDefinition<NoInfer<In>, NoInfer<Out>>;
export function duplex<I extends MaybeSchema = undefined, O extends MaybeSchema = undefined>(
  options: StreamOptions & { input?: I; output?: O },
): DuplexDefinition<Received<I>, Received<O>, Sent<I>, Sent<O>>;
export function duplex(options: StreamOptions & { input?: MaybeSchema; output?: MaybeSchema } = {}): DuplexDefinition {
  return {
    kind: 'duplex',
    codec: checkedCodec(options.codec),
    ...schemas({ input: ['input', options.input], output: ['output', options.output] }),
  };
}

/** Defines a state with values `T`, or with what `schema` says: the sidecar sets it, every app reads it locally; only the latest value counts. */
export function state<T = void>(options?: StateOptions<NoInfer<T>> & NoSchema<'schema'>): StateDefinition<NoInfer<T>>;
export function state<S extends StandardSchema>(
  options: StateOptions<NoInfer<Received<S>>> & { schema: S },
): StateDefinition<Received<S>, Sent<S>>;
export function state(options: StateOptions<unknown> & { schema?: MaybeSchema } = {}): StateDefinition {
  return {
    kind: 'state',
    codec: checkedCodec(options.codec),
    default: options.default,
    ...schemas({ output: ['schema', options.schema] }),
  };
}

/** Defines an event from the sidecar to its apps, with payload `T`, or with what `schema` says. */
export function broadcast<T = void>(options?: BroadcastOptions & NoSchema<'schema'>): BroadcastDefinition<NoInfer<T>>;
export function broadcast<S extends StandardSchema>(options: BroadcastOptions & { schema: S }): BroadcastDefinition<Received<S>, Sent<S>>;
export function broadcast(options: BroadcastOptions & { schema?: MaybeSchema } = {}): BroadcastDefinition {
  const { slowClient = 'drop' } = options;
  if (!['drop', 'latest', 'disconnect'].includes(slowClient)) {
    throw invalid(`slowClient=${String(slowClient)} is none of "drop", "latest", "disconnect"`);
  }
  return { kind: 'broadcast', codec: checkedCodec(options.codec), slowClient, ...schemas({ output: ['schema', options.schema] }) };
}

/** The schemas that were given, each with the name of its option. */
function schemas(given: { [K in keyof Checked]: [option: string, schema: unknown] }): Checked {
  const entries = Object.entries(given).filter(([, [, schema]]) => schema !== undefined);
  return Object.fromEntries(entries.map(([key, [option, schema]]) => [key, checkedSchema(option, schema)]));
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
const KINDS = [...MESSAGE_KINDS, 'counter', 'gauge', 'histogram'];

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
    if (!isMessage(definition) && !isMetric(definition)) throw invalid(`"${key}" is not made by ${KINDS.join('(), ')}()`);
  }
  return Object.freeze({ name, definitions: Object.freeze({ ...definitions }) });
}

function milliseconds(name: string, value: unknown, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !(value >= 0 && value <= 60_000))
    throw invalid(`${name}=${String(value)} is not a number from 0 to 60000`);
  return value;
}

/** What travels as messages, in the order of the name table. */
export function messagesOf(definitions: Definitions): [name: string, MessageDefinition][] {
  return Object.entries(definitions).filter((entry): entry is [string, MessageDefinition] => isMessage(entry[1]));
}

/** What does not travel: numbers in shared memory. */
export function metricsOf(definitions: Definitions): [name: string, MetricDefinition][] {
  return Object.entries(definitions).filter((entry): entry is [string, MetricDefinition] => isMetric(entry[1]));
}

function isMessage(definition: Definition | undefined): definition is MessageDefinition {
  return MESSAGE_KINDS.includes(definition?.kind as string);
}

function isMetric(definition: Definition | undefined): definition is MetricDefinition {
  return definition?.kind === 'counter' || definition?.kind === 'gauge' || definition?.kind === 'histogram';
}

function checkedCodec(codec: CodecName | Codec = 'msgpack'): CodecName | Codec {
  resolveCodec(codec);
  return codec;
}

function invalid(message: string): PillionError {
  return new PillionError('ERR_PILLION_INVALID_ARGUMENT', message);
}
