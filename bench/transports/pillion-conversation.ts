import type { ClientCounters, Server } from '../../src/index.js';
import type { Account } from '../rig/payload.js';
import type { Tally } from '../rig/tally.js';
import { packRange, unpackRange } from './frames.js';
import type { Wait, WantedTransport } from './pillion-library.js';
import { connectOver, library, socketPathIn } from './pillion-library.js';
import type { Link, Place, Service } from './transport.js';

/** Streams, uploads, states, broadcasts and counters. Loaded when they are measured: a build that is compared with this one may not have them. */

const { broadcast, contract, counter, method, serve, state, stream, sumCounters, upload } = library;

const confirmation = new Uint8Array(1);
const raw = { codec: 'raw' } as const;
const conversation = contract('bench-conversation', {
  bytes: method<Uint8Array, Uint8Array>(raw),
  items: stream<Uint8Array, Uint8Array>(raw),
  take: upload<Uint8Array, Uint8Array>(raw),
  publish: method<Account>(),
  account: state<Account>(),
  tell: method<Uint8Array, Uint8Array>(raw),
  news: broadcast<Uint8Array>(raw),
  requests: counter(),
});

export async function serveConversation(place: Place, tally: Tally, wait: Wait): Promise<Service> {
  const path = socketPathIn(place);
  const handlers = {
    bytes: (payload: Uint8Array) => tally.answer(payload),
    items: (range: Uint8Array) => tally.items(unpackRange(range)),
    async take(items: AsyncIterable<Uint8Array>) {
      for await (const item of items) tally.takeItem(item);
      return confirmation;
    },
    publish: (account: Account): void => server.state('account').set(tally.publish(account)),
    tell: (request: Uint8Array) => tally.tell(request, (news) => server.broadcast('news', news)),
  };
  const server: Server<typeof conversation.definitions> = await serve(conversation, handlers, { path, wait });
  return {
    address: path,
    async collect() {
      if (place.pattern === 'count') tally.counted(requestsIn(server.counters()));
    },
    close: () => server.close(),
  };
}

function requestsIn(clients: readonly ClientCounters[]): number {
  const found = sumCounters(clients).find(({ name }) => name === 'requests');
  return found && 'value' in found ? found.value : 0;
}

export async function openConversation(path: string, wanted: WantedTransport, wait: Wait): Promise<Link> {
  const client = await connectOver(conversation, wanted, { path, wait });
  return {
    call: (payload) => client.call('bytes', payload),
    async stream(range, take) {
      for await (const item of client.stream('items', packRange(range))) take(item);
    },
    upload: async (items) => void (await client.upload('take', items)),
    publish: (account) => client.call('publish', account),
    read: () => client.state('account').value,
    count: () => client.counter('requests').add(1),
    hear: (listener) => void client.subscribe('news', listener),
    tell: (request) => client.call('tell', request),
    flush: () => client.flush(),
    counters: () => ({ doorbells: client.stats().doorbells }),
    close: () => client.close(),
  };
}
