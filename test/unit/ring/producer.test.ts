import test from 'ava';
import { RECORD_HEADER_BYTES } from '../../../src/ring/layout.js';
import { HEAD, TAIL } from '../../../src/ring/memory.js';
import { RingProducer } from '../../../src/ring/producer.js';
import { pattern } from '../../helpers/bytes.js';
import { bufferOf, giveBack, put, take, testRing } from '../../helpers/ring.js';

test('a claim that is not committed leaves nothing behind', (t) => {
  const { consumer, memory, producer } = testRing(256);
  const offset = producer.tryClaim(40);
  producer.bytes.set(pattern(40), offset);
  t.is(producer.producerPosition, 0);
  t.is(producer.tryClaim(8), offset);
  put(producer, pattern(8, 5), 7);
  producer.publish();
  const seen = take(consumer);
  t.deepEqual(seen?.payload, pattern(8, 5));
  t.is(seen?.tag, 7);
  t.is(memory.control[TAIL], 24);
});

test('a committed record is invisible until it is published, and several become visible at once', (t) => {
  const { consumer, memory, producer } = testRing(256);
  put(producer, pattern(1));
  put(producer, pattern(2));
  t.is(memory.control[TAIL], 0);
  t.false(consumer.hasNext());
  producer.publish();
  t.is(take(consumer)?.payload.length, 1);
  t.is(take(consumer)?.payload.length, 2);
});

test('padding is zero whatever lay there before', (t) => {
  for (let length = 0; length <= 48; length++) {
    const { memory, producer } = testRing(256);
    memory.bytes.fill(0xee);
    put(producer, pattern(length));
    const end = producer.producerPosition;
    const padding = memory.bytes.subarray(RECORD_HEADER_BYTES + length, end);
    t.true(
      padding.every((byte) => byte === 0),
      `length ${length}`,
    );
    t.is(memory.bytes[end], 0xee);
  }
});

test('a record changes no byte outside of itself', (t) => {
  for (let position = 0; position < 256; position += 8) {
    const { memory, producer } = testRing(256, position);
    memory.bytes.fill(0xee);
    const before = bufferOf(memory).slice();
    put(producer, pattern(37));
    const start = memory.bytes.byteOffset + position;
    const after = bufferOf(memory);
    for (let at = 0; at < after.length; at++) {
      if (at >= start && at < start + 56) continue;
      if (after[at] !== before[at]) return t.fail(`byte ${at} changed at position ${position}`);
    }
  }
  t.pass();
});

test('header words hold any 32 bits', (t) => {
  const { consumer, producer } = testRing(256);
  put(producer, new Uint8Array(0), -1, 0xffffffff, 0x80000000);
  producer.publish();
  const seen = take(consumer);
  t.deepEqual(
    [seen?.tag, seen?.correlationId, seen?.aux].map((word) => (word as number) >>> 0),
    [0xffffffff, 0xffffffff, 0x80000000],
  );
});

test('the consumer position is loaded only when the ring looks full', (t) => {
  const { consumer, memory, producer } = testRing(256);
  put(producer, pattern(48));
  producer.publish();
  take(consumer);
  giveBack(consumer);
  t.true(producer.tryClaim(16) >= 0);
  t.is(producer.cachedHead, 0);
  t.is(producer.usedBytes, 64);
  t.true(producer.refreshHead());
  t.is(producer.cachedHead, memory.control[HEAD] as number);
  t.false(producer.refreshHead());
  t.is(producer.usedBytes, 0);
});

test('a producer goes on where the words of its ring say', (t) => {
  const { consumer, memory, producer } = testRing(256, 0xffffffe0);
  put(producer, pattern(8), 1, 1);
  producer.publish();
  const next = new RingProducer(memory);
  t.is(next.producerPosition, 0xfffffff8);
  t.is(next.usedBytes, 24);
  put(next, pattern(9), 1, 2);
  next.publish();
  t.is(take(consumer)?.correlationId, 1);
  t.is(take(consumer)?.correlationId, 2);
});
