import test from 'ava';
import { ProtocolError } from '../../../src/errors.js';
import {
  CALL,
  CANCEL,
  END,
  ERROR,
  EVENT,
  GOODBYE,
  ITEM,
  kindOf,
  LOAN,
  MORE,
  PING,
  PONG,
  REPLY,
  tagOf,
} from '../../../src/protocol/frame.js';
import { TAIL } from '../../../src/ring/memory.js';
import type { EventContext } from '../../../src/session/borrow.js';
import { pattern } from '../../helpers/bytes.js';
import { collect } from '../../helpers/collect.js';
import { until } from '../../helpers/deadline.js';
import type { RecordSeen } from '../../helpers/ring.js';
import { routeOf, startSession } from '../../helpers/server-session.js';
import { bytesOf, type FrameVectors, vectors } from '../../helpers/vectors.js';

const NO_BYTES = new Uint8Array(0);
const streamTag = tagOf(CALL, 0, 4);
const uploadTag = tagOf(CALL, 0, 5);

const eventTag = tagOf(EVENT, 0, 0);
const callTag = tagOf(CALL, 0, 1);

test('a call is answered with its id', (t) => {
  const { answers, channel, send } = startSession();
  send(callTag, 0xfffffffe, pattern(9));
  channel.ready();
  const [reply, ...others] = answers();
  t.is(others.length, 0);
  t.deepEqual([kindOf(reply?.tag as number), (reply?.correlationId as number) >>> 0], [REPLY, 0xfffffffe]);
  t.deepEqual(reply?.payload, pattern(9));
});

test('a name that the server lacks is answered with an error, and an event for it is released', (t) => {
  const { answers, channel, send, ends } = startSession();
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
  const { answers, channel, send } = startSession();
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
  const { channel, send } = startSession({ event: () => (++count === 1 ? done : undefined) });
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
  const { answers, channel, send } = startSession();
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
  const { answers, channel, send, ends } = startSession({
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

const { names, reject } = vectors<FrameVectors>('frames');

for (const { name, record, header, recordBytes, sender } of reject.records) {
  if (sender !== 'client') continue;
  test(`the connection ends at once and for good at a record that must not be: ${name}`, (t) => {
    let handled = 0;
    const count = (): void => void handled++;
    const routes = names.map((entry) => routeOf(entry.name, entry.kind, count));
    const { channel, ends, send } = startSession({}, { capacity: reject.ringCapacity, routes });
    const padded = Buffer.alloc(recordBytes ?? (record as string).length / 2);
    padded.set(bytesOf(record ?? (header as string)));
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
  const zero = startSession();
  zero.send(callTag, 0);
  zero.channel.ready();
  t.true(zero.ends[0] instanceof ProtocolError);
  const twice = startSession({ method: () => new Promise(() => {}) });
  twice.send(callTag, 1);
  twice.send(callTag, 1);
  twice.channel.ready();
  t.true(twice.ends[0] instanceof ProtocolError);
});

test('what a client had published before it hung up is handled before the end is told', (t) => {
  const order: string[] = [];
  const started = startSession({ event: () => void order.push('event') });
  started.send(eventTag, 1);
  started.send(eventTag, 2);
  started.channel.hangUp();
  t.deepEqual(order, ['event', 'event']);
  t.deepEqual(started.ends, [null]);
});

test('a server that leaves finishes what it has taken, takes nothing more, and says GOODBYE last', async (t) => {
  let finish: (bytes: Uint8Array) => void = () => {};
  let handled = 0;
  const { answers, channel, send, session } = startSession({
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
    const { channel, send, ends } = startSession({ method }, { maxQueuedBytes: 20_000 });
    let sent = 0;
    for (let round = 0; round < 200 && !channel.isPaused; round++) {
      while (send(tag, ++sent));
      channel.ready();
    }
    t.true(channel.isPaused, `${sent} requests were taken`);
    t.deepEqual(ends, []);
  });
}

const ARENA_BYTES = 8192;
const loanTag = tagOf(EVENT, LOAN, 0);

function place(offset: number, length: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(offset, length).buffer);
}

for (const isBorrowed of [false, true]) {
  const how = isBorrowed ? 'in place' : 'as a copy';

  test(`a loan is read ${how} from where its record says, to the end of the arena`, (t) => {
    for (const checksViews of [true, false]) {
      const seen: string[] = [];
      const { channel, send, ends } = startSession(
        { event: (bytes) => void seen.push(Buffer.from(bytes).toString('hex')) },
        {
          arenaBytes: ARENA_BYTES,
          checksViews,
          isBorrowed,
        },
      );
      channel.arena.set(pattern(ARENA_BYTES));
      const places = [
        [0, 0],
        [0, ARENA_BYTES],
        [64, 100],
        [ARENA_BYTES - 64, 64],
        [ARENA_BYTES, 0],
      ] as const;
      for (const [index, [offset, length]] of places.entries()) t.true(send(loanTag, index, place(offset, length)));
      channel.ready();
      t.deepEqual(
        seen,
        places.map(([offset, length]) => Buffer.from(pattern(ARENA_BYTES).slice(offset, offset + length)).toString('hex')),
      );
      t.deepEqual(ends, []);
      channel.peer.producer.refreshHead();
      t.is(channel.peer.producer.usedBytes, 0);
    }
  });
}

const badLoans: [string, number, Uint8Array, number?][] = [
  ['not aligned', loanTag, place(8, 8)],
  ['one byte beyond the arena', loanTag, place(ARENA_BYTES - 64, 65)],
  ['an offset beyond the arena', loanTag, place(ARENA_BYTES + 64, 0)],
  ['an offset of 4 GiB less 64', loanTag, place(0xffffffc0, 64)],
  ['a length of 4 GiB less 1', loanTag, place(0, 0xffffffff)],
  ['offset and length that overflow together', loanTag, place(0xffffffc0, 0xffffffff)],
  ['no payload', loanTag, new Uint8Array(0)],
  ['7 bytes', loanTag, new Uint8Array(7)],
  ['9 bytes', loanTag, new Uint8Array(9)],
  ['16 bytes', loanTag, new Uint8Array(16)],
  ['more follows', tagOf(EVENT, LOAN | MORE, 0), place(0, 8)],
  ['a call', tagOf(CALL, LOAN, 1), place(0, 8)],
  ['a target that is a method', tagOf(EVENT, LOAN, 1), place(0, 8)],
  ['a client without an arena', loanTag, place(0, 0), 0],
];

for (const [what, tag, payload, arenaBytes = ARENA_BYTES] of badLoans) {
  test(`the connection ends at a loan that must not be: ${what}`, (t) => {
    let handled = 0;
    const count = (): void => void handled++;
    const { channel, send, ends } = startSession({ event: count, method: count }, { arenaBytes });
    t.true(send(tag, 1, payload));
    channel.ready();
    t.is(handled, 0);
    t.true(ends[0] instanceof ProtocolError, String(ends[0]));
  });
}

test('a loan cannot be the rest of a message that began as fragments', (t) => {
  const { channel, send, ends } = startSession({}, { arenaBytes: ARENA_BYTES });
  send(eventTag | (MORE << 8), 1, pattern(10));
  send(loanTag, 1, place(0, 8));
  channel.ready();
  t.true(ends[0] instanceof ProtocolError);
});

test('a loan longer than maxMessageBytes fails alone', (t) => {
  for (const isBorrowed of [true, false]) {
    let handled = 0;
    const { channel, send, ends, counters } = startSession({ event: () => void handled++ }, { arenaBytes: 65_536, isBorrowed });
    send(loanTag, 1, place(0, 10_001));
    send(loanTag, 2, place(0, 10_000));
    channel.ready();
    t.is(handled, 1);
    t.is(counters.handlerErrors, 1);
    t.deepEqual(ends, []);
  }
});

test('an event that was retained and forgotten is released, counted, and reported with its place', async (t) => {
  const warnings: (Error & { code?: string })[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  t.teardown(() => process.off('warning', onWarning));
  for (const checksViews of [true, false]) {
    const { channel, send, counters } = startSession(
      {
        event: function forgetful(_view, context) {
          context.retain();
        },
      },
      { arenaBytes: ARENA_BYTES, isBorrowed: true, checksViews },
    );
    send(loanTag, 1, place(0, 100));
    channel.ready();
    const { producer } = channel.peer;
    producer.refreshHead();
    t.true(producer.usedBytes > 0);
    await collect('the event is released', () => {
      producer.refreshHead();
      return producer.usedBytes === 0;
    });
    t.is(counters.viewsLeaked, 1);
  }
  await until('it is reported', () => warnings.some(({ code, message }) => code === 'PILLION_LEAK' && /forgetful/.test(message)));
});

test('an event whose view is still held is not released, though its release function was dropped', async (t) => {
  for (const checksViews of [true, false]) {
    const views: Uint8Array[] = [];
    const { channel, send, counters } = startSession(
      {
        event: (view, context) => {
          views.push(view);
          context.retain();
        },
      },
      { arenaBytes: ARENA_BYTES, isBorrowed: true, checksViews },
    );
    send(loanTag, 1, place(0, 100));
    channel.ready();
    for (let round = 0; round < 3; round++) await collect('nothing in particular', () => true);
    t.is(views[0]?.length, 100);
    t.is(counters.viewsLeaked, 0);
  }
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What was answered to each id: a kind, and the code of an error. */
function outcomes(records: RecordSeen[]): Map<number, string> {
  return new Map(
    records.map(({ correlationId, payload, tag }) => [
      correlationId,
      kindOf(tag) === ERROR ? JSON.parse(Buffer.from(payload).toString()).code : String(kindOf(tag)),
    ]),
  );
}

test('events behind calls whose answers nobody will read are handled although the answers are many', (t) => {
  let events = 0;
  const { channel, session, send } = startSession(
    { event: () => void events++, method: () => pattern(900) },
    { capacity: 16_384, maxQueuedBytes: 2000 },
  );
  let id = 0;
  while (send(callTag, ++id) && send(eventTag, id));
  channel.hangUp();
  t.true(events >= id - 1 && events > 100, `${events} of ${id}`);
  t.true(session.queuedBytes <= 2000);
});

test('events behind calls that wait for their turn are handled when the client is gone, and the calls are dropped', (t) => {
  let events = 0;
  let calls = 0;
  const method = () => {
    calls++;
    return new Promise(() => {});
  };
  const { channel, send, ends } = startSession(
    { event: () => void events++, method },
    { capacity: 16_384, maxQueuedBytes: 500, concurrency: 1 },
  );
  let id = 0;
  while (send(callTag, ++id) && send(eventTag, id));
  channel.hangUp();
  t.is(calls, 1);
  t.true(events >= id - 1 && events > 100);
  t.deepEqual(ends, [null]);
});

test('calls that wait for their turn cost their headers at least, and stop the reading when they are too much', async (t) => {
  const finish: (() => void)[] = [];
  const method = () => new Promise<Uint8Array>((resolve) => finish.push(() => resolve(new Uint8Array(0))));
  const { channel, session, send, answers } = startSession({ method }, { maxQueuedBytes: 160, concurrency: 2 });
  for (let id = 1; id <= 100; id++) send(callTag, id);
  channel.ready();
  t.is(finish.length, 2);
  t.is(session.waitingCount, 11);
  t.true(channel.isPaused);
  for (let done = 0; done < 100; done++) {
    finish[done]?.();
    await turn();
    channel.ready();
  }
  t.is(finish.length, 100);
  t.false(channel.isPaused);
  t.is(session.waitingCount, 0);
  t.deepEqual(
    answers().map(({ correlationId }) => correlationId),
    Array.from({ length: 100 }, (_, index) => index + 1),
  );
});

test('while a stream is at work its items are read, and calls for which there is no room are refused', async (t) => {
  let length = 0;
  const upload = async (items: AsyncIterable<Uint8Array>) => {
    for await (const item of items) length += item.length;
    return new Uint8Array(0);
  };
  const { channel, send, answers } = startSession({ upload }, { capacity: 65_536, maxQueuedBytes: 160, concurrency: 1 });
  send(uploadTag, 1000);
  for (let id = 1; id <= 100; id++) send(callTag, id);
  send(tagOf(ITEM, 0, 0), 1000, pattern(20));
  channel.ready();
  t.false(channel.isPaused);
  send(tagOf(ITEM, 0, 0), 1000, pattern(30));
  send(tagOf(END, 0, 0), 1000);
  channel.ready();
  await turn();
  t.is(length, 50);
  const all = outcomes(answers());
  t.is(all.get(1000), String(REPLY));
  t.is([...all.values()].filter((outcome) => outcome === 'ERR_PILLION_BUSY').length, 89);
  t.is([...all.values()].filter((outcome) => outcome === String(REPLY)).length, 12);
});

test('a stream beyond the limit is refused, counting those that wait for their turn', async (t) => {
  const stream = async function* (_request: Uint8Array, { signal }: EventContext) {
    yield new Uint8Array(0);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  };
  const { channel, session, send, answers } = startSession({ stream }, { concurrency: 2, maxOpenStreams: 4 });
  for (let id = 1; id <= 6; id++) send(streamTag, id, NO_BYTES, 1000);
  send(callTag, 7);
  channel.ready();
  await turn();
  t.is(session.openStreamCount, 2);
  t.is(session.waitingCount, 3);
  const all = outcomes(answers());
  t.deepEqual(
    [5, 6].map((id) => all.get(id)),
    ['ERR_PILLION_BUSY', 'ERR_PILLION_BUSY'],
  );
  t.deepEqual(
    [1, 2].map((id) => all.get(id)),
    [String(ITEM), String(ITEM)],
  );
  // Both when they wait and when they are open, an end makes room.
  send(tagOf(CANCEL, 0, 0), 1);
  send(tagOf(CANCEL, 0, 0), 3);
  send(streamTag, 8, NO_BYTES, 1000);
  send(streamTag, 9, NO_BYTES, 1000);
  channel.ready();
  await turn();
  const more = outcomes(answers());
  t.is(more.get(4), String(ITEM), 'it was its turn');
  t.is(more.get(8), undefined);
  t.is(more.get(9), undefined);
  send(streamTag, 10, NO_BYTES, 1000);
  channel.ready();
  await turn();
  t.is(outcomes(answers()).get(10), 'ERR_PILLION_BUSY');
});

test('a server that leaves ends the streams that wait for their turn, and carries out the calls', async (t) => {
  const begun: number[] = [];
  const stream = async function* (_request: Uint8Array, { signal, sequence }: EventContext) {
    begun.push(sequence);
    yield new Uint8Array(0);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  };
  const { channel, session, send, answers } = startSession({ stream }, { concurrency: 1 });
  for (const id of [1, 2, 3]) send(streamTag, id, NO_BYTES, 1000);
  send(callTag, 4);
  channel.ready();
  await turn();
  answers();
  await session.leave();
  const records = answers();
  t.is(kindOf(records.at(-1)?.tag as number), GOODBYE);
  const all = outcomes(records);
  t.deepEqual(
    [1, 2, 3].map((id) => all.get(id)),
    ['ERR_PILLION_CLOSED', 'ERR_PILLION_CLOSED', 'ERR_PILLION_CLOSED'],
  );
  t.is(all.get(4), String(REPLY));
  t.deepEqual(begun, [1]);
});
