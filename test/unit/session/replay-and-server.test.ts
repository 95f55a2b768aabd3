import test from 'ava';
import { resolveCodec } from '../../../src/protocol/codec.js';
import { CALL, EVENT, MORE, tagOf } from '../../../src/protocol/frame.js';
import { replay } from '../../../src/session/replay.js';
import type { Route } from '../../../src/session/route.js';
import { ServerSession } from '../../../src/session/server-session.js';
import { newServerCounters } from '../../../src/stats.js';
import { pattern } from '../../helpers/bytes.js';
import { LoopbackChannel } from '../../helpers/loopback-channel.js';
import { put, type TestRing, testRing } from '../../helpers/ring.js';
import { random } from '../../helpers/seed.js';

const CAPACITY = 4096;
const eventTag = tagOf(EVENT, 0, 0);
const callTag = tagOf(CALL, 0, 1);
const raw = resolveCodec('raw');

/** Replays what is left in a ring to a healthy server with an event 0 and a method 1. Returns how its connection ended, if it did. */
function replayToServer(old: TestRing, keepCall: boolean, isRedelivery: boolean): (Error | null)[] {
  const channel = new LoopbackChannel(CAPACITY);
  const ends: (Error | null)[] = [];
  const route = (name: string, kind: string): Route => ({ name, kind, handler: (bytes) => bytes, codec: raw, problem: '' });
  new ServerSession({
    channel,
    contractName: 'test',
    peer: { pid: 1, uid: 1, gid: 1, runtime: 'test' },
    clientId: 'client',
    routes: [route('event', 'event'), route('method', 'method')],
    maxMessageBytes: 10_000,
    maxQueuedBytes: 1_000_000,
    exposeStacks: false,
    concurrency: Number.POSITIVE_INFINITY,
    maxOpenStreams: 1024,
    windowBytes: 65536,
    pushTargets: new Map(),
    checksViews: true,
    counters: newServerCounters(),
    onHandlerError: () => {},
    onEnd: (error) => ends.push(error),
  });
  replay(old.memory, old.producer.cachedHead, old.producer.producerPosition | 0, channel.peer.producer, {
    isRedelivery,
    isOwnTarget: (tag) => tag >>> 16 === ((tag & 0xff) === EVENT ? 0 : 1),
    keepCall: () => keepCall,
    keepEnd: () => keepCall,
  });
  channel.ready();
  channel.ready();
  return ends;
}

test('a server accepts the replay of events with empty fragments', (t) => {
  const old = testRing(CAPACITY);
  put(old.producer, new Uint8Array(0), eventTag | (MORE << 8), 1, 0);
  put(old.producer, new Uint8Array(0), eventTag, 1, 0);
  put(old.producer, pattern(8), eventTag | (MORE << 8), 2, 0);
  put(old.producer, new Uint8Array(0), eventTag, 2, 8);
  old.producer.publish();
  t.deepEqual(replayToServer(old, false, true), []);
});

test('a server accepts the replay of many events that are begun before one of them ends', (t) => {
  const old = testRing(CAPACITY);
  const count = 80;
  for (let id = 0; id < count; id++) put(old.producer, pattern(1), eventTag | (MORE << 8), id, 0);
  for (let id = 0; id < count; id++) put(old.producer, pattern(1), eventTag, id, 1);
  old.producer.publish();
  t.deepEqual(replayToServer(old, false, true), []);
});

test('whatever a dead peer made of the ring, the next server accepts the replay', (t) => {
  const { below, seed } = random();
  t.log(`seed ${seed}`);
  const pick = <T>(values: T[]): T => values[below(values.length)] as T;
  for (let round = 0; round < 5000; round++) {
    const old = testRing(CAPACITY, below(512) * 8);
    const tags = [
      eventTag,
      callTag,
      eventTag | (MORE << 8),
      callTag | (MORE << 8),
      eventTag | (4 << 8),
      tagOf(5, 0, 0),
      tagOf(10, 0, 0),
      0,
      99,
    ];
    const records = 1 + below(150);
    for (let record = 0; record < records; record++) {
      const length = pick([0, 0, 8, 8, 16, 40, below(1008)]);
      if (!put(old.producer, pattern(length), pick(tags), below(6), pick([0, 0, 8, 8, 16, 24]))) break;
    }
    old.producer.publish();
    for (let count = below(4); count > 0; count--) old.memory.words[below(CAPACITY / 4)] = pick([0, 8, 16, below(2 ** 32) | 0]);
    // A server that went in order has taken nothing, so that calls go over; but nobody can have two of the same id in flight.
    const ends = replayToServer(old, false, below(2) === 0);
    if (ends.length > 0) return t.fail(`round ${round}: ${ends[0]}`);
  }
  t.pass();
});
