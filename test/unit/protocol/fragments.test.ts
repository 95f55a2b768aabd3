import test from 'ava';
import { ProtocolError } from '../../../src/errors.js';
import { MAX_UNFINISHED_MESSAGES, Reassembly } from '../../../src/protocol/fragments.js';
import { CALL, EVENT, MORE, tagOf } from '../../../src/protocol/frame.js';
import { pattern } from '../../helpers/bytes.js';

const MAX = 10_000;

/** Adds the bytes from `start` to `end` of a message as one fragment. */
function add(reassembly: Reassembly, id: number, message: Uint8Array, start: number, end: number, aux = start, kind = CALL) {
  const tag = tagOf(kind, end < message.length ? MORE : 0, 0);
  return reassembly.add(tag, id, aux, { bytes: message, words: null }, start, end - start);
}

test('a message comes out as it went in, with the aux of its first fragment', (t) => {
  const reassembly = new Reassembly(MAX);
  const message = pattern(5000);
  t.is(add(reassembly, 1, message, 0, 1000, 777), null);
  t.true(reassembly.has(CALL, 1));
  t.false(reassembly.isEmpty);
  t.is(add(reassembly, 1, message, 1000, 1001), null);
  t.is(add(reassembly, 1, message, 1001, 4999), null);
  const whole = add(reassembly, 1, message, 4999, 5000);
  t.deepEqual(new Uint8Array(whole?.bytes as Uint8Array), message);
  t.is(whole?.aux, 777);
  t.true(reassembly.isEmpty);
});

test('the message is a copy of its own', (t) => {
  const reassembly = new Reassembly(MAX);
  const message = pattern(100);
  add(reassembly, 1, message, 0, 50);
  const whole = add(reassembly, 1, message, 50, 100);
  message.fill(0);
  t.deepEqual(new Uint8Array(whole?.bytes as Uint8Array), pattern(100));
});

test('fragments of several messages may interleave', (t) => {
  const reassembly = new Reassembly(MAX);
  const messages = [1, 2, 0x80000000, 0xffffffff].map((id) => ({ id, bytes: pattern(310 + (id & 7), id) }));
  for (let at = 0; at < 300; at += 100) {
    for (const { id, bytes } of messages) t.is(add(reassembly, id | 0, bytes, at, at + 100), null);
  }
  for (const { id, bytes } of messages) {
    const whole = add(reassembly, id, bytes, 300, bytes.length);
    t.deepEqual(new Uint8Array(whole?.bytes as Uint8Array), bytes);
  }
});

test('the same id of different kinds is a different message', (t) => {
  const reassembly = new Reassembly(MAX);
  const message = pattern(20);
  add(reassembly, 1, message, 0, 10, 0, CALL);
  t.false(reassembly.has(EVENT, 1));
  add(reassembly, 1, message, 0, 10, 0, EVENT);
  t.truthy(add(reassembly, 1, message, 10, 20, 10, EVENT));
  t.true(reassembly.has(CALL, 1));
});

test('a fragment that does not go on where the last one ended is refused', (t) => {
  for (const aux of [0, 999, 1001, 2000, -1]) {
    const reassembly = new Reassembly(MAX);
    const message = pattern(3000);
    add(reassembly, 1, message, 0, 1000);
    t.throws(() => add(reassembly, 1, message, 1000, 2000, aux), { instanceOf: ProtocolError }, `aux ${aux}`);
  }
});

test('an empty fragment is refused', (t) => {
  const reassembly = new Reassembly(MAX);
  const source = { bytes: pattern(10), words: null };
  t.throws(() => reassembly.add(tagOf(CALL, MORE, 0), 1, 0, source, 0, 0), { instanceOf: ProtocolError });
  add(reassembly, 2, pattern(10), 0, 5);
  t.throws(() => reassembly.add(tagOf(CALL, MORE, 0), 2, 5, source, 0, 0), { instanceOf: ProtocolError });
});

test('a message may be as long as allowed', (t) => {
  const reassembly = new Reassembly(MAX);
  const message = pattern(MAX);
  add(reassembly, 1, message, 0, MAX - 1);
  t.is(add(reassembly, 1, message, MAX - 1, MAX)?.bytes?.length, MAX);
});

test('of a message that is longer than allowed the bytes are not kept', (t) => {
  const reassembly = new Reassembly(MAX);
  const message = pattern(3 * MAX);
  let whole: { bytes: Uint8Array | null; aux: number } | null = null;
  for (let at = 0; at < message.length; at += 1000) whole = add(reassembly, 1, message, at, at + 1000, at === 0 ? 5 : at);
  t.is(whole?.bytes, null);
  t.is(whole?.aux, 5);
  t.true(reassembly.isEmpty);
});

test('more unfinished messages than the protocol allows are refused', (t) => {
  const reassembly = new Reassembly(MAX);
  const message = pattern(100);
  for (let id = 1; id <= MAX_UNFINISHED_MESSAGES; id++) add(reassembly, id, message, 0, 10);
  t.throws(() => add(reassembly, 1000, message, 0, 10), { instanceOf: ProtocolError });
  t.is(add(reassembly, 1, message, 10, 20), null);
  reassembly.drop(CALL, 2);
  t.is(add(reassembly, 1000, message, 0, 10), null);
});

test('more unfinished bytes than the protocol allows are refused', (t) => {
  const reassembly = new Reassembly(MAX);
  const message = pattern(MAX);
  t.throws(
    () => {
      for (let id = 1; id <= 10; id++) add(reassembly, id, message, 0, MAX - 1);
    },
    { instanceOf: ProtocolError },
  );
});

test('dropping forgets a message, and one that is unknown is no error', (t) => {
  const reassembly = new Reassembly(MAX);
  const message = pattern(100);
  add(reassembly, 1, message, 0, 50);
  reassembly.drop(CALL, 1);
  reassembly.drop(CALL, 99);
  t.true(reassembly.isEmpty);
  // The next fragment of it is the first of something new.
  t.is(add(reassembly, 1, message, 50, 60), null);
});

test('a message of many tiny fragments costs no more memory than its bytes', (t) => {
  const max = 16 * 1024 * 1024;
  const reassembly = new Reassembly(max);
  const source = { bytes: pattern(8), words: null };
  const before = process.memoryUsage();
  const count = 400_000;
  for (let at = 0; at < count; at++) reassembly.add(tagOf(CALL, MORE, 0), 1, at, source, 0, 1);
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  // One object per fragment would be some 50 MB.
  t.true(grown < 25_000_000, `${grown} bytes for ${count} fragments`);
  t.true(reassembly.has(CALL, 1));
});

test('a fragment with another target than the first one is an error', (t) => {
  const reassembly = new Reassembly(MAX);
  const source = { bytes: pattern(100), words: null };
  t.is(reassembly.add(tagOf(CALL, MORE, 3), 1, 0, source, 0, 50), null);
  t.throws(() => reassembly.add(tagOf(CALL, 0, 4), 1, 50, source, 50, 50), { instanceOf: ProtocolError, message: /target 4.*had 3/ });
});
