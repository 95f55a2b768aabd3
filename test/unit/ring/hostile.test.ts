import test, { type ExecutionContext } from 'ava';
import { ProtocolError } from '../../../src/errors.js';
import { RingConsumer } from '../../../src/ring/consumer.js';
import { maxPayloadBytes } from '../../../src/ring/layout.js';
import { HEAD, TAIL } from '../../../src/ring/memory.js';
import { RingProducer } from '../../../src/ring/producer.js';
import { pattern } from '../../helpers/bytes.js';
import { giveBack, put, take, testRing } from '../../helpers/ring.js';
import { random } from '../../helpers/seed.js';

const CAPACITY = 256;
const starts = [0, 8, 248, 0xffffff00, 0xfffffff8];

/** A ring with two records of 24 bytes, one of them read. */
function busyRing(start: number) {
  const ring = testRing(CAPACITY, start);
  put(ring.producer, pattern(8), 1, 1);
  put(ring.producer, pattern(8), 1, 2);
  ring.producer.publish();
  take(ring.consumer);
  return ring;
}

function refuses(t: ExecutionContext, action: () => unknown, what: string): void {
  const error = t.throws(action, { instanceOf: ProtocolError }, what);
  t.is(error?.code, 'ERR_PILLION_PROTOCOL');
}

test('a consumer refuses every tail that cannot be', (t) => {
  for (const start of starts) {
    // Relative to the position of the consumer, which has read 24 bytes and knows of 24 more.
    for (const [what, tail] of [
      ['one record beyond the capacity', CAPACITY + 24 + 8],
      ['far beyond', 0x40000000],
      ['half the range beyond', 0x80000000],
      ['before the read position', 16],
      ['before the released position', -8],
      ['unaligned', 49],
      ['unaligned by 4', 52],
    ] as const) {
      const { consumer, memory } = busyRing(start);
      take(consumer);
      memory.control[TAIL] = (start + tail) | 0;
      refuses(t, () => consumer.hasNext(), `${what} at ${start}`);
      refuses(t, () => consumer.next(), `${what} at ${start}`);
    }
  }
});

test('a consumer counts what it has not released against the capacity', (t) => {
  const { consumer, memory, producer } = testRing(CAPACITY);
  while (put(producer, pattern(48)));
  producer.publish();
  take(consumer);
  take(consumer);
  take(consumer);
  take(consumer);
  memory.control[TAIL] = CAPACITY + 64;
  refuses(t, () => consumer.next(), 'nothing was released');
  memory.control[TAIL] = CAPACITY;
  consumer.release(64);
  consumer.publishHead();
  memory.control[TAIL] = CAPACITY + 64;
  t.notThrows(() => consumer.hasNext());
});

test('a consumer refuses a ring whose head is not aligned', (t) => {
  const { memory } = testRing(CAPACITY);
  memory.control[HEAD] = 4;
  refuses(t, () => new RingConsumer(memory), 'unaligned head');
});

test('a consumer refuses every record length that cannot be', (t) => {
  const most = maxPayloadBytes(CAPACITY);
  for (const start of starts) {
    for (const length of [9, 16, most, most + 1, CAPACITY, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff]) {
      const { consumer, memory } = busyRing(start);
      const index = ((start + 24) & (CAPACITY - 1)) >> 2;
      memory.words[index] = length | 0;
      refuses(t, () => consumer.next(), `length ${length} at ${start}`);
      t.is(consumer.readPosition, (start + 24) | 0, 'the position has not moved');
    }
  }
});

test('a record may be as long as what was published, and not a byte longer', (t) => {
  const { consumer, memory } = busyRing(0);
  memory.words[6] = 8;
  t.is(take(consumer)?.payload.length, 8);
  const next = busyRing(0);
  next.memory.words[6] = 1;
  t.is(take(next.consumer)?.payload.length, 1);
  // Shorter is legal by itself; the next header is then read from what was the payload.
  const zero = busyRing(0);
  zero.memory.words[6] = 0;
  t.is(take(zero.consumer)?.payload.length, 0);
  refuses(t, () => zero.consumer.next(), 'a header of which only half is published');
});

test('a producer refuses every head that cannot be, and overwrites nothing unread', (t) => {
  for (const start of starts) {
    for (const [what, head] of [
      ['beyond the tail', 56],
      ['far beyond', 0x40000000],
      ['backwards', -8],
      ['half the range back', 0x80000000],
      ['unaligned', 25],
      ['unaligned by 4', 28],
    ] as const) {
      const { memory, producer } = busyRing(start);
      memory.control[HEAD] = (start + head) | 0;
      refuses(t, () => producer.refreshHead(), `${what} at ${start}`);
      t.is(producer.cachedHead, start | 0);
      const before = memory.bytes.slice();
      refuses(t, () => put(producer, pattern(maxPayloadBytes(CAPACITY))) && producer.hasSpace(CAPACITY), what);
      t.deepEqual(memory.bytes.subarray(start & 255, (start & 255) + 48), before.subarray(start & 255, (start & 255) + 48));
    }
  }
});

test('a producer refuses a head among records that it has committed but not published', (t) => {
  const { memory, producer } = testRing(CAPACITY);
  put(producer, pattern(8));
  producer.publish();
  put(producer, pattern(8));
  memory.control[HEAD] = 48;
  refuses(t, () => producer.refreshHead(), 'nobody can have read it');
  memory.control[HEAD] = 24;
  t.true(producer.refreshHead());
});

test('a producer refuses a head that goes back after it went on', (t) => {
  const { consumer, memory, producer } = busyRing(0);
  giveBack(consumer);
  t.true(producer.refreshHead());
  memory.control[HEAD] = 0;
  refuses(t, () => producer.refreshHead(), 'backwards');
});

test('a producer refuses to begin with words that cannot be', (t) => {
  for (const [tail, head] of [
    [CAPACITY + 8, 0],
    [0, 8],
    [4, 0],
    [8, 4],
  ] as const) {
    const { memory } = testRing(CAPACITY);
    memory.control[TAIL] = tail;
    memory.control[HEAD] = head;
    refuses(t, () => new RingProducer(memory), `tail=${tail} head=${head}`);
  }
});

test('whatever a peer scribbles, a consumer returns records inside the ring or refuses, and ends', (t) => {
  const { seed, below } = random();
  t.log(`seed ${seed}`);
  for (let round = 0; round < 20_000; round++) {
    const { consumer, memory } = busyRing((below(32) * 8) | 0);
    for (let count = 1 + below(6); count > 0; count--) {
      const value = below(3) === 0 ? below(2 ** 32) : below(80) * (below(2) === 0 ? 8 : 1);
      if (below(3) === 0) memory.control[TAIL] = value | 0;
      else memory.words[below(memory.words.length)] = value | 0;
    }
    let records = 0;
    try {
      while (consumer.next()) {
        records++;
        const { payloadOffset, payloadLength } = consumer;
        const isInside = payloadOffset >= 16 && payloadLength >= 0 && payloadOffset + payloadLength <= memory.bytes.length;
        if (!isInside || records > CAPACITY / 16) return t.fail(`offset=${payloadOffset} length=${payloadLength} records=${records}`);
        if (below(2) === 0) giveBack(consumer);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
  t.pass();
});
