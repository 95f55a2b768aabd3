/** Compiled, never run: schemas give a contract its types, for each side what it has to do with. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { z } from 'zod';
import {
  broadcast,
  type Client,
  contract,
  duplex,
  event,
  type Handlers,
  type InputOf,
  method,
  type OutputOf,
  type PayloadOf,
  type RequestOf,
  type ResponseOf,
  type SentInputOf,
  type SentOutputOf,
  type SentPayloadOf,
  type SentRequestOf,
  type SentResponseOf,
  type SentValueOf,
  type Server,
  type StandardSchema,
  state,
  stream,
  upload,
  type ValueOf,
} from '../../src/index.js';
import type { Equal, Expect } from './expect.js';

const line = z.object({ text: z.string(), at: z.coerce.date<string>() });
interface LineSent {
  text: string;
  at: string;
}
interface Line {
  text: string;
  at: Date;
}
// biome-ignore lint/suspicious/noExplicitAny: a type argument like any other
type Anything = any;
const size = z.string().transform((text) => text.length);

export const checked = contract('checked', {
  log: event({ schema: line, overflow: 'wait' }),
  verify: method({ input: z.object({ token: z.string(), realm: z.string().default('local') }), output: line }),
  half: method({ input: size }),
  other: method({ output: size, codec: 'json' }),
  tail: stream({ input: size, item: line }),
  put: upload({ item: line, output: size }),
  chat: duplex({ input: line, output: size }),
  config: state({ schema: z.object({ level: z.enum(['info', 'error']) }), default: { level: 'info' } }),
  news: broadcast({ schema: line, slowClient: 'latest' }),
  plain: method<{ a: 1 }, Anything>(),
  anything: event<Anything>(),
});

type D = typeof checked.definitions;

export type Checks = [
  Expect<Equal<PayloadOf<D, 'log'>, Line>>,
  Expect<Equal<SentPayloadOf<D, 'log'>, LineSent>>,
  Expect<Equal<RequestOf<D, 'verify'>, { token: string; realm: string }>>,
  Expect<Equal<SentRequestOf<D, 'verify'>, { token: string; realm?: string | undefined }>>,
  Expect<Equal<ResponseOf<D, 'verify'>, Line>>,
  Expect<Equal<SentResponseOf<D, 'verify'>, LineSent>>,
  Expect<Equal<RequestOf<D, 'half'>, number>>,
  Expect<Equal<ResponseOf<D, 'half'>, void>>,
  Expect<Equal<RequestOf<D, 'other'>, void>>,
  Expect<Equal<ResponseOf<D, 'other'>, number>>,
  Expect<Equal<OutputOf<D, 'tail'>, Line>>,
  Expect<Equal<SentOutputOf<D, 'tail'>, LineSent>>,
  Expect<Equal<InputOf<D, 'put'>, Line>>,
  Expect<Equal<SentInputOf<D, 'put'>, LineSent>>,
  Expect<Equal<ResponseOf<D, 'put'>, number>>,
  Expect<Equal<InputOf<D, 'chat'>, Line>>,
  Expect<Equal<SentOutputOf<D, 'chat'>, string>>,
  Expect<Equal<ValueOf<D, 'config'>, { level: 'info' | 'error' }>>,
  Expect<Equal<SentValueOf<D, 'config'>, { level: 'info' | 'error' }>>,
  Expect<Equal<PayloadOf<D, 'news'>, Line>>,
  Expect<Equal<SentRequestOf<D, 'plain'>, { a: 1 }>>,
  Expect<Equal<ResponseOf<D, 'plain'>, Anything>>,
  Expect<Equal<PayloadOf<D, 'anything'>, Anything>>,
  Expect<Equal<RequestOf<D, 'log'>, never>>,
];

export const handlers: Handlers<D> = {
  log: ({ at }) => void at.getTime(),
  verify: ({ realm }) => ({ text: realm.trim(), at: '2026-11-25' }),
  half: (length) => void length.toFixed(),
  other: () => 'counted at the other side',
  tail: async function* (length) {
    yield { text: length.toFixed(), at: '2026-11-25' };
  },
  put: async (items) => {
    for await (const { at } of items) return at.toISOString();
    return '';
  },
  chat: async function* (end) {
    for await (const { at } of end) yield at.toISOString();
  },
  plain: () => 1,
  anything: () => {},
};

// @ts-expect-error what is sent is a string
export const wrong: Handlers<D> = { ...handlers, other: () => 5 };

export async function use(client: Client<D>, server: Server<D>): Promise<void> {
  client.send('log', { text: 'x', at: '2026-11-25' });
  // @ts-expect-error the sender gives a text
  client.send('log', { text: 'x', at: new Date() });
  const answer = await client.call('verify', { token: 'x' });
  const counted = client.callSync('other');
  type _Answers = [Expect<Equal<typeof answer, Line>>, Expect<Equal<typeof counted, number>>];
  for await (const item of client.stream('tail', 'x')) void item.at.getTime();
  await client.upload('put', [{ text: 'x', at: '2026-11-25' }]);
  client.subscribe('news', ({ at }) => void at.getTime());
  server.state('config').set({ level: 'info' });
  // @ts-expect-error no such level
  server.state('config').set({ level: 'loud' });
  server.broadcast('news', { text: 'x', at: '2026-11-25' });
}

// Types come from arguments or from schemas, not from both.
// @ts-expect-error
event<Line>({ schema: line });
const both = { codec: 'json', input: size } as const;
// @ts-expect-error
method<string, number>(both);
// @ts-expect-error an event has one schema
event({ input: line });
// @ts-expect-error not a schema
event({ schema: { parse: () => 1 } });
// @ts-expect-error a default is what is read
state({ schema: size, default: 'x' });

/** Ours is the published one. */
export const ours: StandardSchema<string, number> = size as StandardSchemaV1<string, number>;
export const published: StandardSchemaV1<string, number> = {} as StandardSchema<string, number>;
