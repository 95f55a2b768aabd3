import { resolveCodec } from '../../src/protocol/codec.js';
import type { EventContext } from '../../src/session/borrow.js';
import type { Route } from '../../src/session/route.js';
import { ServerSession } from '../../src/session/server-session.js';
import { newServerCounters } from '../../src/stats.js';
import { LoopbackChannel } from './loopback-channel.js';
import { giveBack, put, type RecordSeen, take } from './ring.js';

const raw = resolveCodec('raw');
const NO_BYTES = new Uint8Array(0);

export type Handler = (payload: Uint8Array, context: EventContext) => unknown;

interface Handlers {
  event?: Handler;
  method?: Handler;
  stream?: Handler;
  // biome-ignore lint/suspicious/noExplicitAny: the items of an upload
  upload?: (items: any, context: EventContext) => unknown;
}

export function routeOf(name: string, kind: string, handler: Handler | null, isBorrowed = false): Route {
  return { name, kind, handler, codec: raw, problem: 'not here', isBorrowed };
}

/** A session with event 0, method 1, and names 2 and 3 that the server does not have, stream 4 and upload 5, or with other routes; the test is its client. */
export function startSession(
  { event = () => {}, method = (bytes) => bytes, stream = async function* () {}, upload = async () => NO_BYTES }: Handlers = {},
  {
    capacity = 4096,
    maxQueuedBytes = 100_000,
    maxMessageBytes = 10_000,
    windowBytes = 65536,
    concurrency = Number.POSITIVE_INFINITY,
    maxOpenStreams = 1024,
    routes = null as Route[] | null,
    arenaBytes = 0,
    checksViews = true,
    isBorrowed = false,
  } = {},
) {
  const channel = new LoopbackChannel(capacity, arenaBytes);
  const counters = newServerCounters();
  const ends: (Error | null)[] = [];
  const session = new ServerSession({
    channel,
    contractName: 'test',
    peer: { pid: 1, uid: 1, gid: 1, runtime: 'test' },
    clientId: 'client',
    routes: routes ?? [
      routeOf('event', 'event', event, isBorrowed),
      routeOf('method', 'method', method, isBorrowed),
      routeOf('gone', 'method', null),
      routeOf('gone event', 'event', null),
      routeOf('stream', 'stream', stream),
      routeOf('upload', 'upload', upload),
    ],
    maxMessageBytes,
    maxQueuedBytes,
    exposeStacks: false,
    concurrency,
    maxOpenStreams,
    windowBytes,
    pushTargets: new Map(),
    checksViews,
    counters,
    onHandlerError: () => {},
    onEnd: (error) => ends.push(error),
  });
  const { producer, consumer } = channel.peer;
  const send = (tag: number, id: number, payload: Uint8Array = NO_BYTES, aux = 0): boolean => {
    const isPut = put(producer, payload, tag, id, aux);
    producer.publish();
    return isPut;
  };
  const answers = (): RecordSeen[] => {
    const records: RecordSeen[] = [];
    for (let record = take(consumer); record !== null; record = take(consumer)) records.push(record);
    giveBack(consumer);
    return records;
  };
  return { channel, session, ends, send, answers, counters };
}
