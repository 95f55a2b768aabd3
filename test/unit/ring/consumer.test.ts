import test from 'ava';
import { RingConsumer } from '../../../src/ring/consumer.js';
import { HEAD, STARVED } from '../../../src/ring/memory.js';
import { pattern } from '../../helpers/bytes.js';
import { put, take, testRing } from '../../helpers/ring.js';

test('reading releases nothing, releasing publishes nothing, publishing tells the producer', (t) => {
  const { consumer, memory, producer } = testRing(256);
  put(producer, pattern(8));
  put(producer, pattern(8));
  producer.publish();
  take(consumer);
  t.is(consumer.heldBytes, 24);
  consumer.release(consumer.readPosition);
  t.is(consumer.heldBytes, 0);
  t.is(consumer.unpublishedBytes, 24);
  t.is(memory.control[HEAD], 0);
  consumer.publishHead();
  t.is(consumer.unpublishedBytes, 0);
  t.is(memory.control[HEAD], 24);
});

test('records may be released in part', (t) => {
  const { consumer, memory, producer } = testRing(256);
  for (let id = 0; id < 4; id++) put(producer, pattern(8), 1, id);
  producer.publish();
  take(consumer);
  const first = consumer.readPosition;
  take(consumer);
  take(consumer);
  consumer.release(first);
  consumer.publishHead();
  t.is(memory.control[HEAD], 24);
  t.is(consumer.heldBytes, 48);
  t.is(take(consumer)?.correlationId, 3);
});

test('a waiting producer is to be woken once, and only when something was released', (t) => {
  const { consumer, memory, producer } = testRing(256);
  put(producer, pattern(8));
  producer.publish();
  take(consumer);
  memory.control[STARVED] = 1;
  t.false(consumer.publishHead());
  t.is(memory.control[STARVED], 1);
  consumer.release(consumer.readPosition);
  t.true(consumer.publishHead());
  t.is(memory.control[STARVED], 0);
  memory.control[STARVED] = 1;
  t.false(consumer.publishHead());
});

test('a producer that does not wait is not woken', (t) => {
  const { consumer, producer } = testRing(256);
  put(producer, pattern(8));
  producer.publish();
  take(consumer);
  consumer.release(consumer.readPosition);
  t.false(consumer.publishHead());
});

test('a consumer starts at the head that it finds, and reads what was written before it came', (t) => {
  const { memory, producer } = testRing(256, 0xfffffff0);
  put(producer, pattern(30));
  producer.publish();
  const consumer = new RingConsumer(memory);
  t.is(consumer.readPosition >>> 0, 0xfffffff0);
  t.deepEqual(take(consumer)?.payload, pattern(30));
});

test('looking ahead takes nothing', (t) => {
  const { consumer, producer } = testRing(256);
  t.false(consumer.peekIs(3, 1));
  put(producer, pattern(4), 3, 0xffffffff);
  producer.publish();
  t.true(consumer.peekIs(3, 0xffffffff));
  t.true(consumer.peekIs(3, -1));
  t.false(consumer.peekIs(3, 1));
  t.false(consumer.peekIs(4, 0xffffffff));
  t.is(consumer.readPosition, 0);
  t.deepEqual(take(consumer)?.payload, pattern(4));
});

test('a header is read once: what changes afterwards is not seen', (t) => {
  const { consumer, memory, producer } = testRing(256);
  put(producer, pattern(8), 5, 6, 7);
  producer.publish();
  consumer.next();
  memory.words.fill(-1);
  t.deepEqual([consumer.payloadLength, consumer.tag, consumer.correlationId, consumer.aux, consumer.readPosition], [8, 5, 6, 7, 24]);
});

test('after the last look at a dead producer nothing new is seen, and the rest can be read', (t) => {
  const { consumer, producer } = testRing(256);
  put(producer, pattern(1));
  put(producer, pattern(2));
  producer.publish();
  take(consumer);
  put(producer, pattern(3));
  producer.publish();
  consumer.seal();
  put(producer, pattern(4));
  producer.publish();
  t.is(take(consumer)?.payload.length, 2);
  t.is(take(consumer)?.payload.length, 3);
  t.is(take(consumer), null);
  consumer.seal();
  t.false(consumer.hasNext());
});
