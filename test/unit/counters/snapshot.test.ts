import test from 'ava';
import { type ClientCounters, type MetricSnapshot, sumCounters } from '../../../src/index.js';

const peer = { pid: 1, uid: 1, gid: 1, runtime: 'test' };

function client(clientId: string, metrics: MetricSnapshot[], isConnected = true): ClientCounters {
  return { clientId, peer, isConnected, available: true, reason: undefined, metrics };
}

const value = (kind: 'counter' | 'gauge', number: number, labels: Record<string, string> = {}): MetricSnapshot => ({
  name: kind,
  kind,
  help: '',
  unit: '',
  labels,
  value: number,
});

function distribution(counts: [number, number, number], sum: number, bounds = [1, 2]): MetricSnapshot {
  const buckets = [...bounds, Number.POSITIVE_INFINITY].map((le, index) => ({ le, count: counts[index] as number }));
  return { name: 'h', kind: 'histogram', help: '', unit: '', labels: {}, count: counts[2], sum, buckets };
}

test('numbers with the same name, kind and labels are added up, in whatever order the labels come', (t) => {
  const sums = sumCounters([
    client('a', [value('counter', 1, { x: '1', y: '2' }), value('counter', 2, { x: '2', y: '2' }), value('gauge', 3)]),
    client('b', [value('counter', 10, { y: '2', x: '1' }), value('gauge', -1)]),
  ]);
  t.deepEqual(
    sums.map((metric) => metric.kind !== 'histogram' && metric.value),
    [11, 2, 2],
  );
});

test('distributions are added per bucket, if they have the same buckets', (t) => {
  const sums = sumCounters([
    client('a', [distribution([1, 2, 3], 5)]),
    client('b', [distribution([1, 1, 5], 7)]),
    client('c', [distribution([1, 1, 1], 1, [1, 3])]),
  ]);
  t.deepEqual(sums, [distribution([2, 3, 8], 12), distribution([1, 1, 1], 1, [1, 3])]);
});

test('of a client that is there twice the last one counts, and nothing that was given is changed', (t) => {
  const first = client('a', [value('counter', 5)], false);
  const clients = [first, client('b', [value('counter', 1)]), client('a', [value('counter', 7)])];
  const before = structuredClone(clients);
  t.deepEqual(sumCounters(clients), [value('counter', 8)]);
  t.deepEqual(clients, before);
});

test('a process that claims the id of another takes nothing away from it', (t) => {
  const impostor = { ...client('a', [value('counter', 1)]), peer: { ...peer, pid: 2 } };
  t.deepEqual(sumCounters([client('a', [value('counter', 5)]), impostor]), [value('counter', 6)]);
});

test('gauges of a client that is gone do not count', (t) => {
  const gone = client('a', [value('counter', 5), value('gauge', 5)], false);
  t.deepEqual(sumCounters([gone, client('b', [value('gauge', 1)])]), [value('counter', 5), value('gauge', 1)]);
});

test('nobody adds up to nothing', (t) => {
  t.deepEqual(sumCounters([]), []);
});
