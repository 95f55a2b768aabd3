import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { COUNTER_HEADER_BYTES, ENTRY_HEADER_BYTES, entryBytes, METRIC, SERIES, USED_WORD } from '../../../src/counters/layout.js';
import { ProtocolError } from '../../../src/errors.js';
import { counter, histogram } from '../../../src/index.js';
import { readerOf, testCounters } from '../../helpers/counters.js';
import { random } from '../../helpers/seed.js';

/** What a sidecar makes of memory in which an app wrote what it should not. */

interface RawEntry {
  type?: number;
  length?: number;
  textBytes?: number;
  metric?: number;
  cells?: number;
  text: string | Uint8Array;
}

const good = { name: 'n', kind: 'counter', labels: ['a'], help: '', unit: '' };

/** Memory with these entries, written as told and not as it should be. */
function memoryOf(entries: RawEntry[], bytes = 8192): ArrayBuffer {
  const { buffer } = testCounters({}, bytes);
  const words = new Uint32Array(buffer);
  let used = 0;
  for (const { type = METRIC, metric = 0, cells = 0, ...entry } of entries) {
    const text = Buffer.from(entry.text);
    const { length = entryBytes(cells, text.length), textBytes = text.length } = entry;
    const start = COUNTER_HEADER_BYTES + used;
    words.set([length, type, textBytes, metric], start / 4);
    Buffer.from(buffer).set(text, start + ENTRY_HEADER_BYTES + cells * 8);
    used += entryBytes(cells, text.length);
  }
  words[USED_WORD] = used;
  return buffer;
}

function refused(t: ExecutionContext, buffer: ArrayBuffer, what: string): void {
  const error = t.throws(() => readerOf(buffer).snapshot(), { instanceOf: ProtocolError }, what);
  t.regex(error?.message ?? '', /counters are malformed/, what);
}

const metric = (changes: Record<string, unknown> = {}): RawEntry => ({ text: JSON.stringify({ ...good, ...changes }) });
const series = (changes: Partial<RawEntry> = {}): RawEntry => ({ type: SERIES, cells: 1, text: '["x"]', ...changes });

test('the raw entries of this test are right where nothing is changed', (t) => {
  t.is(readerOf(memoryOf([metric(), series()])).snapshot().length, 1);
});

test('a wrong header is refused', (t) => {
  for (const [word, value] of [
    [0, 0],
    [1, 0],
    [1, 2],
    [2, 4096],
    [2, 0xffffffff],
    [3, 0],
    [3, 192],
  ] as const) {
    const buffer = memoryOf([]);
    new Uint32Array(buffer)[word] = value;
    refused(t, buffer, `word ${word} = ${value}`);
  }
});

test('a directory that is longer than the memory, not aligned, or shorter than before is refused', (t) => {
  for (const used of [8192, 8192 - 64, 0xffffffc0, 0x80000000, 1, 8, 63]) {
    const buffer = memoryOf([metric()]);
    new Uint32Array(buffer)[USED_WORD] = used;
    refused(t, buffer, `used ${used}`);
  }
  const buffer = memoryOf([metric(), series()]);
  const reader = readerOf(buffer);
  reader.snapshot();
  new Uint32Array(buffer)[USED_WORD] = 64;
  t.throws(() => reader.snapshot(), { instanceOf: ProtocolError });
});

const lies: [string, RawEntry[]][] = [
  ['an entry without length', [{ ...metric(), length: 0 }]],
  ['an entry longer than what was published', [{ ...metric(), length: 8192 }]],
  ['an entry of 4 GiB', [{ ...metric(), length: 0xffffffc0 }]],
  ['an entry whose length is not aligned', [{ ...metric(), length: 65 }]],
  ['an entry longer than it need be', [{ ...metric(), length: 192 }, metric()]],
  ['a text longer than its entry', [{ ...metric(), textBytes: 500 }]],
  ['a text of 4 GiB', [{ ...metric(), textBytes: 0xffffffff }]],
  ['a text whose length wraps', [{ ...metric(), textBytes: 0xfffffff0, length: 0 }]],
  ['type 0', [{ ...metric(), type: 0 }]],
  ['type 3', [{ ...metric(), type: 3 }]],
  ['a series without a metric', [series()]],
  ['a series of a metric that comes later', [metric(), series({ metric: 1 }), metric()]],
  ['a series of metric 0xFFFFFFFF', [metric(), series({ metric: 0xffffffff })]],
  ['a series with too few cells', [metric({ kind: 'histogram', buckets: Array.from({ length: 200 }, (_, i) => i) }), series()]],
  ['a series with too many labels', [metric(), series({ text: '["x","y"]' })]],
  ['a series with too few labels', [metric(), series({ text: '[]' })]],
  ['a series with labels that are no texts', [metric(), series({ text: '[5]' })]],
  ['a series with an endless label', [metric(), series({ text: JSON.stringify(['x'.repeat(300)]) })]],
  ['a series that is no array', [metric(), series({ text: '{"0":"x","length":1}' })]],
  ['no JSON', [{ text: 'x' }]],
  ['no text', [{ text: '' }]],
  ['deep JSON', [{ text: '['.repeat(7000) }]],
  ['text that is not UTF-8 where a quote is due', [{ text: new Uint8Array([0x22, 0xff, 0xfe]) }]],
  ['null', [{ text: 'null' }]],
  ['a number', [{ text: '5' }]],
  ['no name', [metric({ name: undefined })]],
  ['an empty name', [metric({ name: '' })]],
  ['an endless name', [metric({ name: 'x'.repeat(257) })]],
  ['an unknown kind', [metric({ kind: 'summary' })]],
  ['a kind of the prototype', [metric({ kind: 'toString' })]],
  ['labels that are no array', [metric({ labels: 'a' })]],
  ['labels that are no texts', [metric({ labels: [null] })]],
  ['too many labels', [metric({ labels: Array.from({ length: 17 }, (_, index) => `${index}`) })]],
  ['a label twice', [metric({ labels: ['a', 'a'] })]],
  ['a histogram without buckets', [metric({ kind: 'histogram' })]],
  ['a histogram with descending buckets', [metric({ kind: 'histogram', buckets: [2, 1] })]],
  ['a histogram with buckets that are no numbers', [metric({ kind: 'histogram', buckets: [null] })]],
  ['a histogram with too many buckets', [metric({ kind: 'histogram', buckets: Array.from({ length: 257 }, (_, i) => i) })]],
  ['a counter with buckets', [metric({ buckets: [1] })]],
  ['help that is no text', [metric({ help: {} })]],
  ['no unit', [metric({ unit: undefined })]],
];
for (const [what, entries] of lies) test(`${what} is refused`, (t) => refused(t, memoryOf(entries), what));

test('what an entry said cannot be changed later', (t) => {
  const { table, reader, buffer } = testCounters({ n: counter({ labels: ['a'] }), h: histogram({ buckets: [1, 2] }) });
  table.counter('n', { a: 'x' }).add(5);
  table.histogram('h', undefined).observe(1);
  const before = reader.snapshot();
  const used = new Uint32Array(buffer)[USED_WORD] as number;
  t.is(before.length, 2);
  // All but the numbers, which are found where they were.
  new Uint8Array(buffer).fill(0xff, 0, USED_WORD * 4);
  const words = new Uint32Array(buffer);
  for (let start = COUNTER_HEADER_BYTES / 4; start < (COUNTER_HEADER_BYTES + used) / 4; start += 16)
    words.fill(0xffffffff, start, start + 4);
  t.deepEqual(reader.snapshot(), before);
});

test('whatever bits are in a cell, a finite number is read', (t) => {
  const { table, reader, buffer } = testCounters({ n: counter(), h: histogram({ buckets: [1] }) });
  table.counter('n', undefined).add(1);
  table.histogram('h', undefined).observe(1);
  const cells = new Float64Array(buffer);
  const used = new Uint32Array(buffer)[USED_WORD] as number;
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    const one = cells.slice();
    for (let cell = COUNTER_HEADER_BYTES / 8; cell < (COUNTER_HEADER_BYTES + used) / 8; cell++) if (one[cell] === 1) cells[cell] = value;
    for (const metric of reader.snapshot()) {
      const numbers =
        metric.kind === 'histogram' ? [metric.sum, metric.count, ...metric.buckets.map(({ count }) => count)] : [metric.value];
      t.true(numbers.every(Number.isFinite));
    }
    cells.set(one);
  }
});

test('random changes of a directory never make a reader fail in another way, or read what is not there', (t) => {
  const { seed } = random();
  t.log(`seed ${seed}`);
  const change = fc.record({ at: fc.nat(4095), byte: fc.nat(255) });
  const property = fc.property(fc.array(change, { minLength: 1, maxLength: 40 }), fc.boolean(), (changes, isReadBefore) => {
    const { table, reader, buffer } = testCounters({ n: counter({ labels: ['a'] }), h: histogram({ buckets: [1, 2, 3] }) });
    for (const a of ['x', 'y', 'é€']) table.counter('n', { a }).add(1);
    table.histogram('h', undefined).observe(2);
    if (isReadBefore) reader.snapshot();
    const bytes = new Uint8Array(buffer);
    // Half of the changes go where the directory is.
    for (const { at, byte } of changes) bytes[byte % 2 === 0 ? at % 800 : at] = byte;
    try {
      for (const metric of reader.snapshot()) {
        const numbers = metric.kind === 'histogram' ? [metric.sum, metric.count] : [metric.value];
        if (!numbers.every(Number.isFinite)) throw new Error('a number is not finite');
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
    return true;
  });
  t.notThrows(() => fc.assert(property, { seed, numRuns: 3000 }));
});

test('whatever an app declares and counts is read back', (t) => {
  const { seed } = random();
  t.log(`seed ${seed}`);
  const text = fc.string({ unit: 'binary', maxLength: 40 });
  const property = fc.property(
    text,
    text,
    fc.uniqueArray(fc.stringMatching(/^[a-z_][a-z0-9_]{0,9}$/), { maxLength: 4 }),
    fc.array(fc.array(text, { minLength: 4, maxLength: 4 }), { maxLength: 20 }),
    fc.array(fc.double({ noNaN: true, noDefaultInfinity: true, min: 0, max: 1e300 }), { minLength: 20, maxLength: 20 }),
    (help, unit, labels, values, numbers) => {
      const { table, reader } = testCounters({ n: counter({ labels, help, unit }) }, 65_536);
      const expected = new Map<string, number>();
      for (const [index, row] of values.entries()) {
        const set = Object.fromEntries(labels.map((label, column) => [label, row[column] as string]));
        const key = JSON.stringify(Object.entries(set));
        table.counter('n', set).add(numbers[index]);
        expected.set(key, (expected.get(key) ?? 0) + (numbers[index] as number));
      }
      const seen = reader.snapshot();
      if (seen.some((metric) => metric.help !== help || metric.unit !== unit)) return false;
      const read = new Map(
        seen.map((metric) => [JSON.stringify(Object.entries(metric.labels)), metric.kind === 'counter' ? metric.value : -1]),
      );
      return JSON.stringify([...read]) === JSON.stringify([...expected]);
    },
  );
  t.notThrows(() => fc.assert(property, { seed, numRuns: 500 }));
});
