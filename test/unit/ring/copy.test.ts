import test from 'ava';
import { type Block, copyBytes, privateCopy, Scratch } from '../../../src/ring/copy.js';
import { pattern } from '../../helpers/bytes.js';

function block(bytes: Uint8Array, hasWords: boolean): Block {
  const buffer = new ArrayBuffer(bytes.length);
  const copy = new Uint8Array(buffer);
  copy.set(bytes);
  return { bytes: copy, words: hasWords ? new Int32Array(buffer) : null };
}

test('copies are exact at every length and offset, and touch nothing else', (t) => {
  const source = pattern(2048);
  for (const fromWords of [true, false]) {
    for (const toWords of [true, false]) {
      for (const offset of fromWords && toWords ? [0, 4, 16, 100] : [0, 1, 3, 4, 17]) {
        for (const length of [0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 511, 512, 513, 1000]) {
          const from = block(source, fromWords);
          const to = block(new Uint8Array(2048).fill(0xee), toWords);
          copyBytes(from, offset, to, 8, length);
          const expected = new Uint8Array(2048).fill(0xee);
          expected.set(source.subarray(offset, offset + length), 8);
          if (Buffer.compare(to.bytes, expected) !== 0) return t.fail(`length=${length} offset=${offset} ${fromWords} ${toWords}`);
        }
      }
    }
  }
  t.pass();
});

test('a scratch block grows to what is asked for and keeps both views on the same memory', (t) => {
  const scratch = new Scratch(64);
  scratch.reserve(64);
  t.is(scratch.bytes.length, 64);
  scratch.reserve(65);
  t.true(scratch.bytes.length >= 65);
  scratch.words[1] = 0x01020304;
  t.deepEqual([...scratch.bytes.subarray(4, 8)], [4, 3, 2, 1]);
});

test('a private copy shares nothing, also when the source is a Buffer', (t) => {
  const source = Buffer.from([1, 2, 3, 4]);
  const whole = privateCopy(source, 0, 4);
  const part = privateCopy(source, 1, 3);
  source.fill(9);
  t.deepEqual([...whole], [1, 2, 3, 4]);
  t.deepEqual([...part], [2, 3]);
});
