/** Compiled, never run: what of a contract's types the compiler must accept and refuse. */
import {
  type ClaimNames,
  type Codec,
  type Contract,
  contract,
  type EventNames,
  event,
  type MethodNames,
  method,
  type PayloadOf,
  type RequestOf,
  type ResponseOf,
} from '../../src/index.js';
import type { Equal, Expect } from './expect.js';

interface Line {
  level: 'info' | 'error';
  text: string;
}

export const audit = contract('audit', {
  log: event<Line>(),
  tick: event(),
  blob: event<Uint8Array>({ codec: 'raw' }),
  frame: event({ codec: 'raw', borrow: true }),
  maybe: event<string | undefined>(),
  verify: method<{ token: string }, { user: string }>(),
  count: method<void, number>({ codec: 'json', idempotent: true }),
  forget: method<string>(),
  nothing: method(),
});

type Definitions = typeof audit extends Contract<infer D> ? D : never;

export type Checks = [
  Expect<Equal<EventNames<Definitions>, 'log' | 'tick' | 'blob' | 'frame' | 'maybe'>>,
  Expect<Equal<MethodNames<Definitions>, 'verify' | 'count' | 'forget' | 'nothing'>>,
  Expect<Equal<PayloadOf<Definitions, 'log'>, Line>>,
  Expect<Equal<ClaimNames<Definitions>, 'blob' | 'frame'>>,
  Expect<Equal<PayloadOf<Definitions, 'blob'>, Uint8Array>>,
  Expect<Equal<PayloadOf<Definitions, 'frame'>, Uint8Array>>,
  Expect<Equal<PayloadOf<Definitions, 'tick'>, void>>,
  Expect<Equal<PayloadOf<Definitions, 'verify'>, never>>,
  Expect<Equal<RequestOf<Definitions, 'verify'>, { token: string }>>,
  Expect<Equal<ResponseOf<Definitions, 'verify'>, { user: string }>>,
  Expect<Equal<RequestOf<Definitions, 'count'>, void>>,
  Expect<Equal<ResponseOf<Definitions, 'forget'>, void>>,
  Expect<Equal<RequestOf<Definitions, 'log'>, never>>,
];

// A contract's parts are read-only.
// @ts-expect-error
audit.name = 'other';
// @ts-expect-error
audit.definitions.log = event<Line>();

// @ts-expect-error definitions are made by event() and method()
contract('x', { wrong: { kind: 'event' } });
// @ts-expect-error
contract('x', { wrong: () => 1 });
// @ts-expect-error an unknown codec
event({ codec: 'protobuf' });
// @ts-expect-error only methods can be carried out twice
event({ idempotent: true });
// @ts-expect-error only plain bytes can be borrowed
event({ borrow: true });
// @ts-expect-error
event<string>({ codec: 'raw', borrow: true });
// @ts-expect-error half a codec
event({ codec: { name: 'half', encode: () => new Uint8Array(0) } });

const own: Codec = { name: 'own', encode: () => new Uint8Array(0), decode: (bytes) => bytes.length };
event<number>({ codec: own });
method<number, string>({ codec: own, idempotent: true });
