import test from 'ava';
import { ProtocolError } from '../../../src/errors.js';
import { resolveCodec } from '../../../src/protocol/codec.js';
import { CALL, CANCEL, ERROR, EVENT, GOODBYE, kindOf, MORE, PING, PONG, REPLY, tagOf } from '../../../src/protocol/frame.js';
import { TAIL } from '../../../src/ring/memory.js';
import type { HandlerContext } from '../../../src/session/handler-context.js';
import type { Route } from '../../../src/session/route.js';
import { ServerSession } from '../../../src/session/server-session.js';
import { newServerCounters } from '../../../src/stats.js';
import { pattern } from '../../helpers/bytes.js';
import { LoopbackChannel } from '../../helpers/loopback-channel.js';
import { giveBack, put, type RecordSeen, take } from '../../helpers/ring.js';
import { bytesOf, type FrameVectors, vectors } from '../../helpers/vectors.js';

const raw = resolveCodec('raw');
const NO_BYTES = new Uint8Array(0);

type Handler = (payload: Uint8Array, context: HandlerContext) => unknown;

interface Handlers {
  event?: Handler;
  method?: Handler;
}

/** A session with event 0, method 1, and a name 2 that the server does not have; the test is its client. */
function start({ event = () => {}, method = (bytes) => bytes }: Handlers = {}, { capacity = 4096, maxQueuedBytes = 100_000 } = {}) {
  const channel = new LoopbackChannel(capacity);
  const ends: (Error | null)[] = [];
  const route = (name: string, kind: string, handler: Handler | null): Route => ({ name, kind, handler, codec: raw, problem: 'not here' });
  const session = new ServerSession({
    channel,
    contractName: 'test',
    peer: { pid: 1, uid: 1, gid: 1, runtime: 'test' },
    clientId: 'client',
    routes: [
      route('event', 'event', event),
      route('method', 'method', method),
      route('gone', 'method', null),
      route('gone event', 'event', null),
    ],
    maxMessageBytes: 10_000,
    maxQueuedBytes,
    exposeStacks: false,
    concurrency: Number.POSITIVE_INFINITY,
    windowBytes: 65536,
    pushTargets: new Map(),
    counters: newServerCounters(),
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
  return { channel, session, ends, send, answers };
}

const eventTag = tagOf(EVENT, 0, 0);
const callTag = tagOf(CALL, 0, 1);

test('a call is answered with its id', (t) => {
  const { answers, channel, send } = start();
  send(callTag, 0xfffffffe, pattern(9));
  channel.ready();
  const [reply, ...others] = answers();
  t.is(others.length, 0);
  t.deepEqual([kindOf(reply?.tag as number), (reply?.correlationId as number) >>> 0], [REPLY, 0xfffffffe]);
  t.deepEqual(reply?.payload, pattern(9));
});

test('a name that the server lacks is answered with an error, and an event for it is released', (t) => {
  const { answers, channel, send, ends } = start();
  send(tagOf(CALL, 0, 2), 5);
  send(tagOf(EVENT, 0, 3), 6);
  channel.ready();
  const [error, ...others] = answers();
  t.is(others.length, 0);
  t.is(kindOf(error?.tag as number), ERROR);
  t.is(JSON.parse(Buffer.from(error?.payload as Uint8Array).toString()).code, 'ERR_PILLION_UNKNOWN_NAME');
  t.deepEqual(ends, []);
  channel.peer.producer.refreshHead();
  t.is(channel.peer.producer.usedBytes, 0);
});

test('a PING comes back as PONG with the same numbers and bytes', (t) => {
  const { answers, channel, send } = start();
  send(tagOf(PING, 0, 0), 0xdeadbeef, pattern(100), 0x01020304);
  channel.ready();
  const [pong] = answers();
  t.deepEqual([kindOf(pong?.tag as number), (pong?.correlationId as number) >>> 0, pong?.aux], [PONG, 0xdeadbeef, 0x01020304]);
  t.deepEqual(pong?.payload, pattern(100));
});

test('an event keeps its place until its handler is done, and everything behind it too', async (t) => {
  let finish: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  let count = 0;
  const { channel, send } = start({ event: () => (++count === 1 ? done : undefined) });
  send(eventTag, 1, pattern(8));
  send(eventTag, 2, pattern(8));
  send(callTag, 3, pattern(8));
  channel.ready();
  t.is(count, 2);
  const { producer } = channel.peer;
  producer.refreshHead();
  t.is(producer.usedBytes, 72);
  finish();
  await done;
  await Promise.resolve();
  producer.refreshHead();
  t.is(producer.usedBytes, 0);
});

test('fragments of calls are put together, also when they interleave', (t) => {
  const { answers, channel, send } = start();
  const more = callTag | (MORE << 8);
  const [one, two] = [pattern(1200, 1), pattern(1500, 2)];
  send(more, 1, one.slice(0, 700));
  send(more, 2, two.slice(0, 800));
  send(callTag, 3, pattern(5));
  send(callTag, 2, two.slice(800), 800);
  send(callTag, 1, one.slice(700), 700);
  channel.ready();
  const lengths = new Map<number, number>();
  for (const { correlationId, payload } of answers()) lengths.set(correlationId, (lengths.get(correlationId) ?? 0) + payload.length);
  t.deepEqual(
    [...lengths],
    [
      [3, 5],
      [2, 1500],
      [1, 1200],
    ],
  );
});

test('a CANCEL discards what has arrived of its call, and aborts a handler at work', (t) => {
  const signals: AbortSignal[] = [];
  const { answers, channel, send, ends } = start({
    method: (_bytes, context) => {
      signals.push(context.signal);
      return new Promise(() => {});
    },
  });
  send(callTag | (MORE << 8), 1, pattern(100));
  send(tagOf(CANCEL, 0, 0), 1);
  send(callTag, 2, pattern(3));
  send(tagOf(CANCEL, 0, 0), 2);
  send(tagOf(CANCEL, 0, 0), 99);
  channel.ready();
  t.is(signals.length, 1);
  t.true(signals[0]?.aborted);
  t.deepEqual(answers(), []);
  t.deepEqual(ends, []);
});

const { reject } = vectors<FrameVectors>('frames');

// The vectors' table has six names; here 0 is an event and 1 a method, so the targets are translated.
const translated = new Map([
  [2, 0],
  [5, 1],
  [6, 6],
  [65535, 65535],
  [0, 0],
]);

for (const { name, record, header, recordBytes, sender } of reject.records) {
  if (sender !== 'client') continue;
  test(`the connection ends at once and for good at a record that must not be: ${name}`, (t) => {
    let handled = 0;
    const count = (): void => void handled++;
    const { channel, ends, send } = start({ event: count, method: count }, { capacity: reject.ringCapacity });
    const padded = Buffer.alloc(recordBytes ?? (record as string).length / 2);
    padded.set(bytesOf(record ?? (header as string)));
    padded.writeUInt16LE(translated.get(padded.readUInt16LE(6)) as number, 6);
    const { inbound } = channel.peer;
    inbound.bytes.set(padded, 0);
    inbound.control[TAIL] = padded.length;
    channel.ready();
    t.is(handled, 0);
    t.true(ends[0] instanceof ProtocolError, String(ends[0]));
    t.true(channel.isClosed);
    send(eventTag, 1);
    channel.ready();
    channel.hangUp();
    t.is(ends.length, 1);
    t.is(handled, 0);
  });
}

test('a CALL with id 0, or with an id in use, ends the connection', (t) => {
  const zero = start();
  zero.send(callTag, 0);
  zero.channel.ready();
  t.true(zero.ends[0] instanceof ProtocolError);
  const twice = start({ method: () => new Promise(() => {}) });
  twice.send(callTag, 1);
  twice.send(callTag, 1);
  twice.channel.ready();
  t.true(twice.ends[0] instanceof ProtocolError);
});

test('what a client had published before it hung up is handled before the end is told', (t) => {
  const order: string[] = [];
  const started = start({ event: () => void order.push('event') });
  started.send(eventTag, 1);
  started.send(eventTag, 2);
  started.channel.hangUp();
  t.deepEqual(order, ['event', 'event']);
  t.deepEqual(started.ends, [null]);
});

test('a server that leaves finishes what it has taken, takes nothing more, and says GOODBYE last', async (t) => {
  let finish: (bytes: Uint8Array) => void = () => {};
  let handled = 0;
  const { answers, channel, send, session } = start({
    method: () => {
      handled++;
      return new Promise((resolve) => {
        finish = resolve;
      });
    },
  });
  send(callTag, 1, pattern(3));
  channel.ready();
  let hasLeft = false;
  const left = session.leave().then(() => {
    hasLeft = true;
  });
  t.true(channel.isPaused);
  send(callTag, 2, pattern(3));
  channel.ready();
  t.is(handled, 1);
  t.false(hasLeft);
  finish(pattern(4));
  await left;
  t.deepEqual(
    answers().map(({ tag }) => kindOf(tag)),
    [REPLY, GOODBYE],
  );
});

for (const [what, tag, method] of [
  ['answers without payload', callTag, () => new Uint8Array(0)],
  ['answers with payload', callTag, () => pattern(40)],
  ['PONGs without payload', tagOf(PING, 0, 0), () => new Uint8Array(0)],
] as const) {
  test(`a client that does not read ${what} is not asked for more`, (t) => {
    const { channel, send, ends } = start({ method }, { maxQueuedBytes: 20_000 });
    let sent = 0;
    for (let round = 0; round < 200 && !channel.isPaused; round++) {
      while (send(tag, ++sent));
      channel.ready();
    }
    t.true(channel.isPaused, `${sent} requests were taken`);
    t.deepEqual(ends, []);
  });
}
