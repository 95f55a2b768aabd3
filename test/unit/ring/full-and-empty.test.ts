import test from 'ava';
import { alignedLength, maxPayloadBytes } from '../../../src/ring/layout.js';
import { HEAD, TAIL } from '../../../src/ring/memory.js';
import { pattern } from '../../helpers/bytes.js';
import { giveBack, put, take, testRing } from '../../helpers/ring.js';

test('a fresh ring is empty: nothing to read, nothing to publish', (t) => {
  const { consumer, producer } = testRing(256);
  t.false(consumer.hasNext());
  t.false(consumer.next());
  t.false(consumer.publishHead());
  t.is(producer.usedBytes, 0);
  t.is(consumer.heldBytes, 0);
});

test('a ring can be filled to its last byte, and full is not empty', (t) => {
  for (const capacity of [64, 256, 512]) {
    for (let position = 0; position < capacity; position += 8) {
      const { consumer, producer } = testRing(capacity, position);
      const payload = pattern(maxPayloadBytes(capacity), position);
      for (let count = 0; count < 4; count++) t.true(put(producer, payload));
      t.is(producer.usedBytes, capacity);
      t.is(producer.tryClaim(0), -1);
      producer.publish();
      for (let count = 0; count < 4; count++) t.deepEqual(take(consumer)?.payload, payload);
      t.is(take(consumer), null);
      t.is(consumer.heldBytes, capacity);
      t.is(producer.tryClaim(0), -1);
      giveBack(consumer);
      t.is(consumer.heldBytes, 0);
      t.true(producer.tryClaim(payload.length) >= 0);
    }
  }
});

test('a claim succeeds exactly when its record fits', (t) => {
  const capacity = 256;
  for (let used = 0; used <= capacity; used += 8) {
    const { producer } = testRing(capacity);
    for (let left = used; left > 0; ) {
      const record = Math.min(left, 64) === 8 ? 0 : left - 64 === 8 ? 56 : Math.min(left, 64);
      if (record < 16) break;
      put(producer, new Uint8Array(record - 16));
      left -= record;
    }
    const free = capacity - producer.usedBytes;
    for (let length = 0; length <= maxPayloadBytes(capacity); length++) {
      t.is(producer.tryClaim(length) >= 0, alignedLength(length) <= free, `free=${free} length=${length}`);
    }
  }
});

test('a full ring takes records again as they are released, one by one', (t) => {
  const { consumer, producer } = testRing(256);
  const payload = pattern(16);
  let sent = 0;
  while (put(producer, payload, 1, sent)) sent++;
  producer.publish();
  t.is(sent, 8);
  for (let round = 0; round < 50; round++) {
    t.is(take(consumer)?.correlationId, sent - 8);
    t.false(put(producer, payload, 1, sent), 'read is not released');
    consumer.release(consumer.readPosition);
    t.false(put(producer, payload, 1, sent), 'released is not told');
    consumer.publishHead();
    t.true(put(producer, payload, 1, sent));
    producer.publish();
    sent++;
    t.false(put(producer, payload, 1, sent));
  }
});

test('positions wrap at 2^32 without anything special happening', (t) => {
  for (const start of [0xffffff00, 0xfffffff8, 0x7fffffc0, 0x80000000]) {
    const { consumer, memory, producer } = testRing(256, start);
    let expected = start;
    for (let count = 0; count < 40; count++) {
      const payload = pattern(count % 49, count);
      t.true(put(producer, payload, 1, count, start));
      producer.publish();
      expected = (expected + alignedLength(payload.length)) >>> 0;
      t.is((memory.control[TAIL] as number) >>> 0, expected);
      t.is(producer.producerPosition, expected);
      const seen = take(consumer);
      t.deepEqual(seen?.payload, payload);
      t.is((seen?.aux as number) >>> 0, start);
      t.is(consumer.readPosition >>> 0, expected);
      giveBack(consumer);
      t.is((memory.control[HEAD] as number) >>> 0, expected);
    }
  }
});

test('a ring can be exactly full across the wrap of its positions', (t) => {
  const { consumer, producer } = testRing(256, 0xffffff80);
  const payload = pattern(48);
  while (put(producer, payload));
  producer.publish();
  t.is(producer.usedBytes, 256);
  let count = 0;
  for (; take(consumer) !== null; count++);
  t.is(count, 4);
  t.is(consumer.heldBytes, 256);
});
