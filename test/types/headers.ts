/** Compiled, never run: headers in the options of every message, and where they arrive. */
import {
  broadcast,
  type Client,
  contract,
  duplex,
  event,
  type HandlerContext,
  type MessageHeaders,
  method,
  type Server,
  stream,
  upload,
} from '../../src/index.js';
import type { Equal, Expect } from './expect.js';

const sample = contract('sample', {
  tick: event(),
  log: event<string>(),
  ask: method<string, number>(),
  list: stream<void, string>(),
  put: upload<string, number>(),
  talk: duplex<string, string>(),
  news: broadcast<string>(),
});
type D = typeof sample.definitions;

const headers = { traceparent: 'x' };

export async function use(client: Client<D>, server: Server<D>, signal: AbortSignal): Promise<void> {
  client.send('tick', undefined, { headers });
  client.send('log', 'x', { headers });
  await client.sendWhenFree('log', 'x', { headers, timeout: 5, signal });
  await client.call('ask', 'x', { headers, timeout: 5, signal });
  client.callSync('ask', 'x', { headers, timeout: 5 });
  client.stream('list', undefined, { headers, windowBytes: 5 });
  await client.upload('put', ['x'], { headers });
  client.duplexItems('talk', { headers });
  server.broadcast('news', 'x', { headers, to: 'client' });
  client.subscribe('news', (news, info) => {
    type _Types = [Expect<Equal<typeof news, string>>, Expect<Equal<typeof info.headers, MessageHeaders>>];
  });
  client.subscribe('news', (news) => void news.length, { signal });
  // @ts-expect-error values are strings
  client.send('log', 'x', { headers: { n: 5 } });
  // @ts-expect-error options come third
  client.send('log', { headers });
  // @ts-expect-error nothing is sent by waiting
  await client.ready({ headers });
  // @ts-expect-error
  await client.flush({ headers });
}

export function handler(_payload: unknown, context: HandlerContext): string | undefined {
  type _Headers = Expect<Equal<typeof context.headers, MessageHeaders>>;
  // @ts-expect-error they are what was sent
  context.headers['user'] = 'x';
  return context.headers['user'];
}
