import test from 'ava';
import { contract, counter, event, gauge, histogram } from '../../../src/index.js';

const invalid = { code: 'ERR_PILLION_INVALID_ARGUMENT' };

test('definitions keep what they were given and cannot be changed', (t) => {
  const labels = ['method'];
  const buckets = [1, 2];
  const made = histogram({ buckets, labels, help: 'Time', unit: 'seconds' });
  labels.push('later');
  buckets.push(3);
  t.deepEqual(made, { kind: 'histogram', labels: ['method'], help: 'Time', unit: 'seconds', buckets: [1, 2] });
  t.true(Object.isFrozen(made) && Object.isFrozen(made.labels) && Object.isFrozen(made.buckets));
  t.deepEqual(counter(), { kind: 'counter', labels: [], help: '', unit: '' });
  t.deepEqual(gauge({ unit: 'bytes' }), { kind: 'gauge', labels: [], help: '', unit: 'bytes' });
});

test('a contract may consist of counters, and mix them with messages', (t) => {
  t.notThrows(() => contract('c', { requests: counter() }));
  t.notThrows(() => contract('c', { log: event(), inflight: gauge(), latency: histogram({ buckets: [1] }) }));
});

test('labels are few, different names that every metrics system knows', (t) => {
  for (const name of ['', 'a b', 'é', '5', 'a-b', 5, null, 'x'.repeat(257)]) t.throws(() => counter({ labels: [name as string] }), invalid);
  t.throws(() => gauge({ labels: ['a', 'a'] }), invalid);
  t.throws(() => gauge({ labels: 'a' as unknown as string[] }), invalid);
  t.throws(() => gauge({ labels: Array.from({ length: 17 }, (_, index) => `l${index}`) }), invalid);
  t.notThrows(() => gauge({ labels: Array.from({ length: 16 }, (_, index) => `l${index}`) }));
  t.notThrows(() => counter({ labels: ['le'] }));
  t.throws(() => histogram({ buckets: [1], labels: ['le'] }), invalid);
});

test('buckets are 1 to 256 ascending numbers', (t) => {
  const bad = [
    undefined,
    [],
    [2, 1],
    [1, 1],
    [Number.NaN],
    [1, Number.POSITIVE_INFINITY],
    ['1'],
    5,
    Array.from({ length: 257 }, (_, i) => i),
  ];
  for (const buckets of bad) t.throws(() => histogram({ buckets: buckets as number[] }), invalid);
  t.throws(() => histogram(undefined as unknown as { buckets: number[] }));
  t.notThrows(() => histogram({ buckets: Array.from({ length: 256 }, (_, i) => i - 128) }));
});

test('help and unit are short texts', (t) => {
  t.throws(() => counter({ help: 'x'.repeat(1025) }), invalid);
  t.throws(() => counter({ unit: 5 as unknown as string }), invalid);
});
