import type { MetricDefinition } from './counters/definitions.js';
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

/** Something the app asks the sidecar. */
export interface MethodDefinition<Req = unknown, Res = unknown> {
  readonly kind: 'method';
  readonly codec: CodecName | Codec;
  readonly idempotent: boolean;
  readonly [types]?: { request: Req; response: Res };
}

// biome-ignore lint/suspicious/noExplicitAny: any definition, whatever its payload; unknown would not be assignable both ways
export type MessageDefinition = EventDefinition<any> | MethodDefinition<any, any>;
export type Definition = MessageDefinition | MetricDefinition;
export type Definitions = Readonly<Record<string, Definition>>;

/** The typed list of what an app and its sidecar say to each other. Both import the same one. */
export interface Contract<D extends Definitions = Definitions> {
  readonly name: string;
  readonly definitions: D;
}

/** Names of a contract's events, and the payload of one. */
export type EventNames<D extends Definitions> = { [N in keyof D]: D[N] extends EventDefinition<infer _> ? N : never }[keyof D] & string;
export type PayloadOf<D extends Definitions, N extends keyof D> = D[N] extends EventDefinition<infer T> ? T : never;

/** Names of a contract's methods, and the request and response of one. */
export type MethodNames<D extends Definitions> = {
  [N in keyof D]: D[N] extends MethodDefinition<infer _Req, infer _Res> ? N : never;
}[keyof D] &
  string;
export type RequestOf<D extends Definitions, N extends keyof D> = D[N] extends MethodDefinition<infer Req, infer _Res> ? Req : never;
export type ResponseOf<D extends Definitions, N extends keyof D> = D[N] extends MethodDefinition<infer _Req, infer Res> ? Res : never;

/** Defines an event with payload `T`. */
export function event<T = void>(options: EventOptions = {}): EventDefinition<NoInfer<T>> {
  return { kind: 'event', codec: checkedCodec(options.codec) };
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
    if (!isMessage(definition) && !isMetric(definition))
      throw invalid(`"${key}" is not made by event(), method(), counter(), gauge() or histogram()`);
  }
  return Object.freeze({ name, definitions: Object.freeze({ ...definitions }) });
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
  return definition?.kind === 'event' || definition?.kind === 'method';
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
