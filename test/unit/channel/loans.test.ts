import test from 'ava';
import { ArrivedLoans } from '../../../src/channel/loans.js';
import { ProtocolError } from '../../../src/errors.js';
import { EVENT, LOAN, tagOf } from '../../../src/protocol/frame.js';
import { pattern } from '../../helpers/bytes.js';
import { testRing } from '../../helpers/ring.js';

const ARENA_BYTES = 2 ** 20;
const tag = tagOf(EVENT, LOAN, 0);

function begin(loans: ArrivedLoans, length: number, end: number): void {
  const words = Int32Array.of(0, length);
  loans.begin({ bytes: new Uint8Array(words.buffer), words }, 0, 8, tag, end);
}

function fill(loans: ArrivedLoans, bytes: Uint8Array, step: number): void {
  for (let at = 0; at < bytes.length; at += step) loans.append(bytes.subarray(at, at + step), 0);
}

test('the bytes of a loan are put together however they arrive, and what follows them is left alone', (t) => {
  for (const step of [1, 7, 65_535, 65_536, 65_537, 300_000]) {
    const loans = new ArrivedLoans(ARENA_BYTES);
    const { consumer, producer } = testRing(4096);
    producer.tryClaim(8);
    producer.commit(8, tag, 1, 0);
    producer.publish();
    consumer.next();
    begin(loans, 200_000, consumer.readPosition);
    fill(loans, pattern(200_000), step);
    t.false(loans.isArriving);
    t.is(loans.append(pattern(10), 0), 0);
    const { bytes, length, isPrivate } = loans.read(consumer);
    t.deepEqual(Buffer.compare(bytes, pattern(200_000)), 0);
    t.deepEqual([length, isPrivate], [200_000, true]);
  }
});

test('a claim of length allocates little before the bytes arrive', (t) => {
  const loans = new ArrivedLoans(2 ** 30);
  const before = process.memoryUsage().arrayBuffers;
  begin(loans, 2 ** 30, 24);
  t.true(process.memoryUsage().arrayBuffers - before < ARENA_BYTES);
  t.true(loans.isArriving);
});

test('all loans that are not released must fit the arena together', (t) => {
  const loans = new ArrivedLoans(ARENA_BYTES);
  for (const end of [24, 48]) {
    begin(loans, ARENA_BYTES / 2, end);
    fill(loans, pattern(ARENA_BYTES / 2), ARENA_BYTES);
  }
  t.throws(() => begin(loans, 1, 72), { instanceOf: ProtocolError });
});

test('what is released makes room for more, also across the wrap of positions', (t) => {
  const loans = new ArrivedLoans(ARENA_BYTES);
  for (let round = 0, end = -240; round < 20; round++, end += 24) {
    begin(loans, ARENA_BYTES, end | 0);
    fill(loans, pattern(ARENA_BYTES), ARENA_BYTES);
    loans.settle((end - 24) | 0);
    t.throws(() => begin(loans, 64, (end + 24) | 0), { instanceOf: ProtocolError });
    loans.settle(end | 0);
  }
});

test('an empty loan is there at once', (t) => {
  const loans = new ArrivedLoans(ARENA_BYTES);
  begin(loans, 0, 24);
  t.false(loans.isArriving);
});
