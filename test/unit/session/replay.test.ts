import test from 'ava';
import { ProtocolError } from '../../../src/errors.js';
import { CALL, CANCEL, END, EVENT, flagsOf, MORE, REDELIVERED, tagOf } from '../../../src/protocol/frame.js';
import { type ReplayOptions, replay } from '../../../src/session/replay.js';
import { pattern } from '../../helpers/bytes.js';
import { put, type RecordSeen, type TestRing, take, testRing } from '../../helpers/ring.js';
import { random } from '../../helpers/seed.js';

const eventTag = tagOf(EVENT, 0, 1);
const callTag = tagOf(CALL, 0, 2);
const never = { isOwnTarget: () => true, isRedelivery: false, keepCall: () => false, keepEnd: () => false };

function replayAll(old: TestRing, next: TestRing, options: ReplayOptions) {
  return replay(old.memory, old.producer.cachedHead, old.producer.producerPosition | 0, next.producer, options);
}

function takeAll({ consumer }: TestRing): RecordSeen[] {
  const records: RecordSeen[] = [];
  for (let record = take(consumer); record !== null; record = take(consumer)) records.push(record);
  return records;
}

test('what was not released goes over in order, byte for byte', (t) => {
  const old = testRing(4096, 4000);
  for (let id = 0; id < 20; id++) put(old.producer, pattern(id * 9, id), eventTag, id, 0);
  old.producer.publish();
  const next = testRing(4096);
  const result = replayAll(old, next, never);
  t.deepEqual(result, { events: 20 });
  const records = takeAll(next);
  t.deepEqual(
    records.map(({ correlationId }) => correlationId),
    Array.from({ length: 20 }, (_, id) => id),
  );
  for (const [id, { payload, tag }] of records.entries()) {
    t.deepEqual(payload, pattern(id * 9, id));
    t.is(tag, eventTag);
  }
});

test('what was released stays behind', (t) => {
  const old = testRing(4096);
  for (let id = 0; id < 5; id++) put(old.producer, pattern(8), eventTag, id);
  old.producer.publish();
  take(old.consumer);
  take(old.consumer);
  old.consumer.release(old.consumer.readPosition);
  old.consumer.publishHead();
  old.producer.refreshHead();
  const next = testRing(4096);
  t.is(replayAll(old, next, never).events, 3);
  t.deepEqual(
    takeAll(next).map(({ correlationId }) => correlationId),
    [2, 3, 4],
  );
});

test('events are marked as redelivered if they may have been read, fragments included', (t) => {
  const old = testRing(4096);
  put(old.producer, pattern(8), eventTag, 1);
  put(old.producer, pattern(100), eventTag | (MORE << 8), 2, 0);
  put(old.producer, pattern(50), eventTag, 2, 100);
  old.producer.publish();
  const next = testRing(4096);
  t.is(replayAll(old, next, { ...never, isOwnTarget: () => true, isRedelivery: true }).events, 2);
  const records = takeAll(next);
  t.true(records.every(({ tag }) => (flagsOf(tag) & REDELIVERED) !== 0));
  t.deepEqual(
    records.map(({ tag }) => (flagsOf(tag) & MORE) !== 0),
    [false, true, false],
  );
  // A mark stays, whoever dies next.
  const third = testRing(4096);
  replayAll(next, third, never);
  t.true(takeAll(third).every(({ tag }) => (flagsOf(tag) & REDELIVERED) !== 0));
});

test('the END of a stream goes over with its call, behind it', (t) => {
  const old = testRing(4096);
  const endTag = tagOf(END, 0, 0);
  for (const id of [1, 2]) {
    put(old.producer, new Uint8Array(0), callTag, id);
    put(old.producer, new Uint8Array(0), endTag, id);
  }
  put(old.producer, pattern(1), endTag, 1);
  old.producer.publish();
  const next = testRing(4096);
  const kept = new Set<number>();
  const keepCall = (id: number): boolean => id === 1 && kept.add(id).has(id);
  t.is(replayAll(old, next, { ...never, keepCall, keepEnd: (id) => kept.has(id) }).events, 0);
  t.deepEqual(
    takeAll(next).map(({ tag, correlationId }) => [tag, correlationId]),
    [
      [callTag, 1],
      [endTag, 1],
    ],
  );
});

test('calls go over only if they are to be sent again, with all their records', (t) => {
  const old = testRing(4096);
  put(old.producer, pattern(8), callTag, 1);
  put(old.producer, pattern(8), eventTag, 1);
  put(old.producer, pattern(8), callTag | (MORE << 8), 2, 9);
  put(old.producer, pattern(8), callTag, 2, 8);
  put(old.producer, new Uint8Array(0), tagOf(CANCEL, 0, 0), 1);
  put(old.producer, pattern(8), callTag, 0xffffffff);
  old.producer.publish();
  const asked: [number, number][] = [];
  const next = testRing(4096);
  replayAll(old, next, {
    ...never,
    keepCall: (id, records) => {
      asked.push([id >>> 0, records]);
      return id === 2;
    },
  });
  t.deepEqual(asked, [
    [1, 1],
    [2, 2],
    [1, 0],
    [0xffffffff, 1],
  ]);
  t.deepEqual(
    takeAll(next).map(({ correlationId, tag }) => [correlationId, tag]),
    [
      [1, eventTag],
      [2, callTag | (MORE << 8)],
      [2, callTag],
    ],
  );
});

test('a full ring fits into the next one of its size, wherever it begins', (t) => {
  for (let position = 0; position < 256; position += 8) {
    const old = testRing(256, position);
    while (put(old.producer, pattern(20), eventTag, 1));
    old.producer.publish();
    const next = testRing(256, position * 3);
    const { events, fault } = replayAll(old, next, never);
    t.is(fault, undefined);
    t.is(takeAll(next).length, events);
    t.is(events, 6);
  }
});

test('behind a length that cannot be nothing is found, and what came before is kept', (t) => {
  for (const length of [0x7fffffff, -1, 200]) {
    const old = sixEvents();
    old.memory.words[(3 * 24) / 4] = length;
    const next = testRing(4096);
    const { events, fault } = replayAll(old, next, never);
    t.true(fault instanceof ProtocolError, String(length));
    t.is(events, 3);
    t.is(takeAll(next).length, 3);
  }
});

test('a record that this client cannot have written is left out, and costs the others nothing', (t) => {
  for (const [what, tag] of [
    ['an unknown kind', 99],
    ['a kind of the other side', 3],
    ['a forbidden flag', tagOf(EVENT, 8, 1)],
    ['a target outside of the table', tagOf(EVENT, 0, 77)],
    ['a first fragment without the rest', eventTag | (MORE << 8)],
  ] as [string, number][]) {
    const old = sixEvents();
    old.memory.words[(3 * 24) / 4 + 1] = tag;
    const next = testRing(4096);
    const { events, fault } = replayAll(old, next, { ...never, isOwnTarget: (own) => own >>> 16 !== 77 });
    t.is(fault, undefined, what);
    t.is(events, 5, what);
    t.deepEqual(
      takeAll(next).map(({ correlationId }) => correlationId),
      [0, 1, 2, 4, 5],
    );
  }
});

function sixEvents() {
  const old = testRing(4096);
  for (let id = 0; id < 6; id++) put(old.producer, pattern(8), eventTag, id);
  old.producer.publish();
  return old;
}

test('whatever the dead peer left in the ring, replay ends and writes only what a reader accepts', (t) => {
  const { seed, below } = random();
  t.log(`seed ${seed}`);
  for (let round = 0; round < 5000; round++) {
    const old = testRing(512, below(64) * 8);
    for (let id = 0; put(old.producer, pattern(below(60)), below(3) === 0 ? callTag : eventTag, id); id++);
    old.producer.publish();
    for (let count = below(8); count > 0; count--) {
      old.memory.words[below(old.memory.words.length)] = below(2) === 0 ? below(2 ** 32) | 0 : below(200);
    }
    const next = testRing(512, below(64) * 8);
    replayAll(old, next, {
      isOwnTarget: () => true,
      isRedelivery: below(2) === 0,
      keepCall: () => below(2) === 0,
      keepEnd: () => below(2) === 0,
    });
    t.notThrows(() => takeAll(next));
  }
});
