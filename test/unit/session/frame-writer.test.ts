import test from 'ava';
import type { Encoded } from '../../../src/protocol/codec.js';
import { CALL, EVENT, flagsOf, kindOf, MORE, tagOf } from '../../../src/protocol/frame.js';
import { HEAD } from '../../../src/ring/memory.js';
import { RingProducer } from '../../../src/ring/producer.js';
import { FrameWriter } from '../../../src/session/frame-writer.js';
import { pattern } from '../../helpers/bytes.js';
import { giveBack, type RecordSeen, type TestRing, take, testRing } from '../../helpers/ring.js';

const CAPACITY = 4096;
const WHOLE = 1008;
const callTag = tagOf(CALL, 0, 3);
const eventTag = tagOf(EVENT, 0, 2);

function payload(length: number, salt = 0): Encoded {
  return { bytes: pattern(length, salt), words: null, start: 0, end: length, isStable: false };
}

function writerOn(ring: TestRing): { writer: FrameWriter; blocked: boolean[] } {
  const blocked: boolean[] = [];
  return { writer: new FrameWriter(ring.producer, (isBlocked) => blocked.push(isBlocked)), blocked };
}

function takeAll({ consumer }: TestRing): RecordSeen[] {
  const records: RecordSeen[] = [];
  for (let record = take(consumer); record !== null; record = take(consumer)) records.push(record);
  return records;
}

/** Puts the fragments of each id together again, checking what the protocol says of them. */
function assemble(records: RecordSeen[], firstAux = 0): Map<number, Uint8Array> {
  const messages = new Map<number, Uint8Array>();
  const done = new Set<number>();
  for (const { aux, correlationId, payload: part, tag } of records) {
    const before = messages.get(correlationId);
    if (done.has(correlationId)) throw new Error(`a fragment of ${correlationId} behind its last one`);
    if (aux !== (before === undefined ? firstAux : before.length)) throw new Error(`aux=${aux} of ${correlationId}`);
    messages.set(correlationId, Buffer.concat([before ?? new Uint8Array(0), part]));
    if ((flagsOf(tag) & MORE) === 0) done.add(correlationId);
  }
  if (done.size !== messages.size) throw new Error('an unfinished message');
  return messages;
}

test('what fits one record is one record', (t) => {
  for (const length of [0, 1, 8, WHOLE - 1, WHOLE]) {
    const ring = testRing(CAPACITY);
    const { writer } = writerOn(ring);
    writer.write(callTag, 5, 77, payload(length));
    const [record, ...others] = takeAll(ring);
    t.is(others.length, 0);
    t.deepEqual([record?.tag, record?.correlationId, record?.aux, record?.payload.length], [callTag, 5, 77, length]);
    t.false(writer.hasQueue);
  }
});

test('only the part of a block that is the payload is sent', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  const bytes = pattern(5000);
  for (const [start, end] of [
    [8, 20],
    [16, 16],
    [3, 700],
  ] as const) {
    writer.write(callTag, start, 0, { bytes, words: null, start, end, isStable: false });
    t.deepEqual(take(ring.consumer)?.payload, bytes.slice(start, end));
  }
  t.true(writer.tryWriteEvent(eventTag, 1, { bytes, words: null, start: 100, end: 2500, isStable: false }));
  t.deepEqual(new Uint8Array(assemble(takeAll(ring)).get(1) as Uint8Array), bytes.slice(100, 2500));
});

test('longer messages are cut, and go on as space is given back', (t) => {
  for (const length of [WHOLE + 1, 4 * WHOLE, 4 * WHOLE + 1, 100_000]) {
    const ring = testRing(CAPACITY, -1024);
    const { writer, blocked } = writerOn(ring);
    writer.write(callTag, 9, 33, payload(length));
    const records = takeAll(ring);
    while (writer.hasQueue) {
      t.is(blocked.at(-1), true);
      giveBack(ring.consumer);
      writer.pump();
      records.push(...takeAll(ring));
    }
    t.true(records.every(({ tag }) => kindOf(tag) === CALL && tag >>> 16 === 3));
    t.deepEqual(new Uint8Array(assemble(records, 33).get(9) as Uint8Array), pattern(length));
    t.is(writer.queuedBytes, 0);
    if (length > 4 * WHOLE) t.is(blocked.at(-1), false);
  }
});

test('whatever the sizes, every message leaves the queue whole', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  for (const [id, length] of [3000, 2000, 0, 5, 1500].entries()) writer.write(callTag, id, 0, payload(length, id));
  const records: RecordSeen[] = [];
  for (;;) {
    records.push(...takeAll(ring));
    if (!writer.hasQueue) break;
    giveBack(ring.consumer);
    writer.pump();
  }
  const messages = assemble(records);
  t.deepEqual([...messages.keys()].sort(), [0, 1, 2, 3, 4]);
  for (const [id, length] of [3000, 2000, 0, 5, 1500].entries()) {
    t.deepEqual(new Uint8Array(messages.get(id) as Uint8Array), pattern(length, id));
  }
});

test('a payload that has to wait is safe from what its owner does next', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  while (writer.tryWrite(callTag, 1, 0, payload(WHOLE)));
  const scratch = payload(WHOLE, 5);
  writer.write(callTag, 2, 0, scratch);
  t.true(writer.hasQueue);
  scratch.bytes.fill(0);
  takeAll(ring);
  giveBack(ring.consumer);
  writer.pump();
  t.deepEqual(take(ring.consumer)?.payload, pattern(WHOLE, 5));
});

/** Fills the ring but for less than a large record. */
function fill({ writer }: { writer: FrameWriter }): void {
  while (writer.tryWrite(callTag, 99, 0, payload(WHOLE - 32)));
}

test('messages of one record keep their order', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  fill({ writer });
  for (const [id, length] of [800, 0, 5, 900, 1].entries()) writer.write(callTag, id, 0, payload(length, id));
  t.true(writer.hasQueue);
  const ids: number[] = [];
  for (;;) {
    ids.push(...takeAll(ring).map(({ correlationId }) => correlationId));
    if (!writer.hasQueue) break;
    giveBack(ring.consumer);
    writer.pump();
  }
  t.deepEqual(
    ids.filter((id) => id !== 99),
    [0, 1, 2, 3, 4],
  );
});

test('something small does not wait for something large', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  writer.write(callTag, 1, 0, payload(10 * WHOLE));
  writer.write(callTag, 2, 0, payload(10));
  const ids = takeAll(ring).map(({ correlationId }) => correlationId);
  t.is(ids.at(-1), 2, 'there is room behind the fragments');
});

test('the fragments of two messages take turns, those of a third one wait', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  fill({ writer });
  for (const id of [1, 2, 3]) writer.write(callTag, id, 0, payload(3 * WHOLE, id));
  const records: RecordSeen[] = [];
  while (writer.hasQueue) {
    takeAll(ring);
    giveBack(ring.consumer);
    writer.pump();
    records.push(...takeAll(ring));
  }
  const ids = records.map(({ correlationId }) => correlationId).filter((id) => id !== 99);
  t.deepEqual(ids, [1, 2, 1, 2, 1, 2, 3, 3, 3]);
});

test('a control frame goes before everything that waits', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  while (writer.tryWrite(callTag, 99, 0, payload(0)));
  writer.write(callTag, 1, 0, payload(10));
  writer.writeControl(eventTag, 2, 7);
  takeAll(ring);
  giveBack(ring.consumer);
  writer.pump();
  t.deepEqual(
    takeAll(ring).map(({ correlationId, aux }) => [correlationId, aux]),
    [
      [2, 7],
      [1, 0],
    ],
  );
});

test('who waits for room is called when nothing else does', (t) => {
  const ring = testRing(CAPACITY);
  const { writer, blocked } = writerOn(ring);
  fill({ writer });
  writer.write(callTag, 1, 0, payload(900));
  let calls = 0;
  writer.whenFree(() => calls++);
  writer.pump();
  t.is(calls, 0);
  t.true(blocked.at(-1));
  takeAll(ring);
  giveBack(ring.consumer);
  writer.pump();
  writer.pump();
  t.is(calls, 1);
  t.false(blocked.at(-1));
});

test('what somebody who waited for room writes is begun at once, whatever its size', (t) => {
  const ring = testRing(CAPACITY);
  const { writer, blocked } = writerOn(ring);
  fill({ writer });
  writer.whenFree(() => writer.write(callTag, 1, 0, payload(2 * WHOLE)));
  takeAll(ring);
  giveBack(ring.consumer);
  writer.pump();
  t.deepEqual(assemble(takeAll(ring)).get(1)?.length, 2 * WHOLE);
  t.false(blocked.at(-1));
});

test('who waits for room does not wait for large messages', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  writer.write(callTag, 1, 0, payload(10 * WHOLE));
  let calls = 0;
  writer.whenFree(() => calls++);
  takeAll(ring);
  giveBack(ring.consumer);
  writer.pump();
  t.true(writer.hasQueue);
  t.is(calls, 1);
});

test('a message that is taken back waits for nothing any more', (t) => {
  const ring = testRing(CAPACITY);
  const { writer, blocked } = writerOn(ring);
  fill({ writer });
  writer.write(callTag, 1, 0, payload(900));
  t.true(blocked.at(-1));
  t.true(writer.remove(CALL, 1));
  t.false(blocked.at(-1));
});

test('a batch is published at its end, or when the ring is full', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  writer.beginBatch();
  t.true(writer.tryWrite(callTag, 1, 0, payload(10)));
  t.is(take(ring.consumer), null);
  writer.beginBatch();
  writer.endBatch();
  t.is(take(ring.consumer), null, 'the outer one is not over');
  writer.endBatch();
  t.is(take(ring.consumer)?.correlationId, 1);
  writer.beginBatch();
  while (writer.tryWrite(callTag, 2, 0, payload(500)));
  t.not(take(ring.consumer), null);
  writer.endBatch();
});

test('an event is written whole or not at all, under one store of the position', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  t.true(writer.tryWriteEvent(eventTag, 1, payload(2500)));
  const used = ring.producer.usedBytes;
  t.false(writer.tryWriteEvent(eventTag, 2, payload(2500)));
  t.is(ring.producer.usedBytes, used);
  t.false(writer.hasQueue);
  t.true(writer.tryWriteEvent(eventTag, 2, payload(100)));
  t.deepEqual([...assemble(takeAll(ring)).keys()], [1, 2]);
  t.false(writer.tryWriteEvent(eventTag, 3, payload(2500)), 'nothing was given back');
  giveBack(ring.consumer);
  t.true(writer.tryWriteEvent(eventTag, 3, payload(2500)));
});

test('an event may fill the ring, and one that never fits is an error', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  t.throws(() => writer.tryWriteEvent(eventTag, 1, payload(4 * WHOLE + 1)), { code: 'ERR_PILLION_TOO_LARGE' });
  t.is(ring.producer.usedBytes, 0);
  t.true(writer.tryWriteEvent(eventTag, 1, payload(4 * WHOLE)));
  t.is(ring.producer.usedBytes, CAPACITY);
});

test('a message can be taken back before it has begun', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  writer.write(callTag, 1, 0, payload(5000));
  writer.write(callTag, 2, 0, payload(5000));
  t.true(writer.remove(CALL, 2));
  t.false(writer.remove(CALL, 1), 'a part of it is in the ring');
  t.false(writer.remove(CALL, 3), 'unknown');
  t.false(writer.hasQueue);
  t.is(writer.queuedBytes, 0);
});

test('a message that was begun in one ring begins anew in the next', (t) => {
  const old = testRing(CAPACITY);
  const { writer } = writerOn(old);
  writer.write(callTag, 1, 5, payload(6000));
  const next = testRing(16_384);
  writer.useRing(next.producer);
  writer.pump();
  t.deepEqual(new Uint8Array(assemble(takeAll(next), 5).get(1) as Uint8Array), pattern(6000));
  t.false(writer.hasQueue);
  t.true(next.producer instanceof RingProducer);
});

test('a message whose writing fails is not kept: whoever hears of the error may send it again', (t) => {
  const ring = testRing(CAPACITY);
  const { writer } = writerOn(ring);
  for (let i = 0; i < 4; i++) writer.write(callTag, i, 0, payload(WHOLE - 16));
  // More than was ever published cannot have been read.
  Atomics.store(ring.memory.control, HEAD, 8192);
  for (const length of [WHOLE, 20_000]) {
    t.throws(() => writer.write(callTag, 9, 0, payload(length)), { name: 'ProtocolError' });
    t.deepEqual([writer.queuedCount, writer.queuedBytes], [0, 0]);
  }
});

test('a large payload is let go of when it is written', (t) => {
  const ring = testRing(2 ** 16);
  const { writer } = writerOn(ring);
  const large = payload(20_000);
  t.true(writer.write(callTag, 1, 0, large));
  t.is(large.bytes.length, 0);
});
