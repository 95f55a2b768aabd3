/** Compiled, never run: streams, states, broadcasts and the flow of messages are typed by the contract. */
import {
  type Audience,
  broadcast,
  type Client,
  type ClientState,
  type ClientStats,
  connect,
  contract,
  type DuplexEnd,
  duplex,
  event,
  type HandlerContext,
  type Handlers,
  type InputOf,
  type ItemReceiver,
  method,
  type NamesOf,
  type OutputOf,
  type PayloadOf,
  type ResponseOf,
  type ServeOptions,
  type Server,
  type ServerState,
  type ServerStats,
  type SlowClientPolicy,
  serve,
  state,
  stream,
  upload,
  type ValueOf,
} from '../../src/index.js';
import type { Equal, Expect } from './expect.js';

interface Config {
  level: 'info' | 'error';
}

const board = contract('board', {
  line: event<string>({ overflow: 'wait', waitMs: 10, lingerMs: 5 }),
  tick: event(),
  ask: method<number, string>(),
  tail: stream<{ level: string }, Config>({ codec: 'json' }),
  all: stream<void, number>(),
  put: upload<Uint8Array, number>({ codec: 'raw' }),
  chat: duplex<string, number>(),
  config: state<Config>({ default: { level: 'info' } }),
  count: state<number>(),
  news: broadcast<{ text: string }>({ slowClient: 'latest' }),
  reload: broadcast(),
});

type Board = typeof board.definitions;

export type Checks = [
  Expect<Equal<NamesOf<Board, 'stream'>, 'tail' | 'all'>>,
  Expect<Equal<NamesOf<Board, 'upload'>, 'put'>>,
  Expect<Equal<NamesOf<Board, 'duplex'>, 'chat'>>,
  Expect<Equal<NamesOf<Board, 'state'>, 'config' | 'count'>>,
  Expect<Equal<NamesOf<Board, 'broadcast'>, 'news' | 'reload'>>,
  Expect<Equal<NamesOf<Board, 'event'>, 'line' | 'tick'>>,
  Expect<Equal<ValueOf<Board, 'config'>, Config>>,
  Expect<Equal<ValueOf<Board, 'news'>, never>>,
  Expect<Equal<PayloadOf<Board, 'news'>, { text: string }>>,
  Expect<Equal<InputOf<Board, 'put'>, Uint8Array>>,
  Expect<Equal<InputOf<Board, 'chat'>, string>>,
  Expect<Equal<OutputOf<Board, 'chat'>, number>>,
  Expect<Equal<OutputOf<Board, 'tail'>, Config>>,
  Expect<Equal<OutputOf<Board, 'put'>, never>>,
  Expect<Equal<ResponseOf<Board, 'put'>, number>>,
  Expect<Equal<SlowClientPolicy, 'drop' | 'latest' | 'disconnect'>>,
];

export function definitions(): void {
  // @ts-expect-error a default is a value of the state
  state<number>({ default: 'seven' });
  // @ts-expect-error no such policy
  broadcast({ slowClient: 'wait' });
  // @ts-expect-error no such policy
  event({ overflow: 'block' });
  // @ts-expect-error only events can wait for room
  broadcast({ overflow: 'wait' });
  // @ts-expect-error only methods can be carried out twice
  stream({ idempotent: true });
  // @ts-expect-error states have no default of broadcasts
  broadcast<number>({ default: 7 });
}

const client: Client<Board> = connect(board, { highWaterMark: 1000, windowBytes: 1000 });

export function states(): void {
  const config = client.state('config');
  type _Types = [
    Expect<Equal<typeof config, ClientState<Config>>>,
    Expect<Equal<typeof config.value, Config | undefined>>,
    Expect<Equal<typeof config.isStale, boolean>>,
    Expect<Equal<typeof config.isKnown, boolean>>,
  ];
  config.on('change', (value) => {
    type _Value = Expect<Equal<typeof value, Config>>;
  });
  config.on('stale', () => {});
  config.on('invalid', (error: Error) => void error.message);
  // @ts-expect-error an app does not set states
  config.set({ level: 'info' });
  // @ts-expect-error an app does not set states
  config.value = { level: 'info' };
  // @ts-expect-error a broadcast is no state
  client.state('news');
  // @ts-expect-error no such event of a state
  config.on('changed', () => {});
}

export function subscriptions(signal: AbortSignal): void {
  const end: () => void = client.subscribe('news', ({ text }) => void text.length, { signal });
  client.subscribe('reload', () => {});
  end();
  // @ts-expect-error a state is no broadcast
  client.subscribe('config', () => {});
  // @ts-expect-error another payload
  client.subscribe('news', (news: { text: number }) => void news);
  // @ts-expect-error a listener is needed
  client.subscribe('news');
}

export async function flow(signal: AbortSignal): Promise<void> {
  await client.sendWhenFree('line', 'x', { timeout: 5, signal });
  await client.sendWhenFree('tick');
  await client.sendWhenFree('tick', undefined, { timeout: 5 });
  const answer = client.batch(() => client.call('ask', 1));
  type _Answer = Expect<Equal<typeof answer, Promise<string>>>;
  const needsDrain: boolean = client.needsDrain;
  const bufferedBytes: number = client.bufferedBytes;
  client.on('drain', () => {});
  const stats: ClientStats = client.stats();
  void [needsDrain, bufferedBytes, stats.streamsOpen, stats.broadcastsReceived, stats.broadcastsFailed, stats.statesReceived];
  // @ts-expect-error a payload is missing
  await client.sendWhenFree('line');
  // @ts-expect-error a method is no event
  await client.sendWhenFree('ask', 1);
  // @ts-expect-error the payload has another type
  await client.sendWhenFree('line', 5);
  // @ts-expect-error read only
  client.needsDrain = false;
  // @ts-expect-error drain says nothing
  client.on('drain', (bytes: number) => void bytes);
}

export async function streams(signal: AbortSignal): Promise<void> {
  const tail = client.stream('tail', { level: 'info' }, { windowBytes: 10, signal, timeout: 5 });
  type _Tail = Expect<Equal<typeof tail, ItemReceiver<Config>>>;
  for await (const { level } of tail) {
    type _Level = Expect<Equal<typeof level, 'info' | 'error'>>;
  }
  for await (const number of client.stream('all')) void number.toFixed();
  const length = await client.upload('put', [new Uint8Array(1)]);
  type _Length = Expect<Equal<typeof length, number>>;
  const chat = client.duplexItems('chat');
  type _Chat = Expect<Equal<typeof chat, DuplexEnd<number, string>>>;
  // @ts-expect-error a request is missing
  client.stream('tail');
  // @ts-expect-error an upload is no stream
  client.stream('put');
  // @ts-expect-error other items
  await client.upload('put', ['text']);
  // @ts-expect-error a stream is no method
  await client.call('tail', { level: 'info' });
}

export const handlers: Handlers<Board> = {
  line: (text) => void text.length,
  tick: () => {},
  ask: (number) => String(number),
  tail: async function* ({ level }, context) {
    type _Types = [Expect<Equal<typeof level, string>>, Expect<Equal<typeof context, HandlerContext>>];
    yield { level: 'info' };
  },
  all: () => [1, 2, 3],
  put: async (items) => {
    let length = 0;
    for await (const item of items) length += item.length;
    return length;
  },
  chat: async function* (stream) {
    for await (const text of stream) yield text.length;
  },
};

export async function sidecar(): Promise<void> {
  const server: Server<Board> = await serve(board, handlers, { concurrency: Number.POSITIVE_INFINITY });
  const config = server.state('config');
  type _State = [Expect<Equal<typeof config, ServerState<Config>>>, Expect<Equal<typeof config.value, Config | undefined>>];
  config.set({ level: 'error' });
  const accepted: number = server.broadcast('news', { text: 'x' });
  server.broadcast('news', { text: 'x' }, { to: 'client id' });
  server.broadcast('reload');
  const audience: Audience = ({ clientId, peer, transport }) => clientId !== '' && peer.uid === 0 && transport === 'shm';
  server.broadcast('reload', undefined, { to: audience });
  const stats: ServerStats = server.stats();
  void [
    accepted,
    stats.queuedBytes,
    stats.callsWaiting,
    stats.streamsOpen,
    stats.streamsHandled,
    stats.broadcastsSent,
    stats.broadcastsDropped,
  ];
  // @ts-expect-error a value is missing
  config.set();
  // @ts-expect-error the value has another type
  config.set({ level: 'loud' });
  // @ts-expect-error a payload is missing
  server.broadcast('news');
  // @ts-expect-error the payload has another type
  server.broadcast('news', { text: 5 });
  // @ts-expect-error a state is no broadcast
  server.broadcast('config', { level: 'info' });
  // @ts-expect-error a broadcast is no state
  server.state('news');
  // @ts-expect-error nobody answers a predicate later
  server.broadcast('reload', undefined, { to: async () => true });
}

const { line, tick, ask, tail, all, put, chat } = handlers;
// @ts-expect-error what the sidecar tells has no handler
void serve(board, { line, tick, ask, tail, all, put, chat, news: () => {} });
// @ts-expect-error a stream's handler is missing
void serve(board, { line, tick, ask, all, put, chat });
// @ts-expect-error other items
export const wrongItems: Handlers<Board> = { line, tick, ask, tail: () => ['text'], all, put, chat };

export const options: ServeOptions[] = [
  { concurrency: 5, maxOpenStreams: 10, windowBytes: 1000, maxQueuedBytes: 0 },
  // @ts-expect-error a number
  { concurrency: 'all' },
];
