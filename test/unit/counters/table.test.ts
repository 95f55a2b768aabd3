import test from 'ava';
import { type Counter, counter, gauge, histogram } from '../../../src/index.js';
import { testCounters } from '../../helpers/counters.js';

const definitions = {
  requests: counter({ labels: ['method', 'status'], help: 'Requests served', unit: 'requests' }),
  inflight: gauge(),
  latency: histogram({ buckets: [0.1, 0.5, 1], labels: ['route'], unit: 'seconds' }),
};

test('what an app counts is what a sidecar reads, with names, kinds, labels, help and unit', (t) => {
  const { table, reader } = testCounters(definitions);
  table.counter('requests', { method: 'GET', status: 200 }).add(3);
  table.counter('requests', { method: 'PUT', status: '404' }).add(0.5);
  table.gauge('inflight', undefined).set(-7.25);
  for (const seconds of [0.1, 0.100001, 0.5, 0.7, 1, 1.5, -1]) table.histogram('latency', { route: '/' }).observe(seconds);
  const requests = { name: 'requests', kind: 'counter' as const, help: 'Requests served', unit: 'requests' };
  t.deepEqual(reader.snapshot(), [
    { ...requests, labels: { method: 'GET', status: '200' }, value: 3 },
    { ...requests, labels: { method: 'PUT', status: '404' }, value: 0.5 },
    { name: 'inflight', kind: 'gauge', help: '', unit: '', labels: {}, value: -7.25 },
    {
      name: 'latency',
      kind: 'histogram',
      help: '',
      unit: 'seconds',
      labels: { route: '/' },
      count: 7,
      sum: 0.1 + 0.100001 + 0.5 + 0.7 + 1 + 1.5 - 1,
      buckets: [
        { le: 0.1, count: 2 },
        { le: 0.5, count: 4 },
        { le: 1, count: 6 },
        { le: Number.POSITIVE_INFINITY, count: 7 },
      ],
    },
  ]);
});

test('a sidecar that has read before sees new numbers and new series', (t) => {
  const { table, reader } = testCounters(definitions);
  t.deepEqual(reader.snapshot(), []);
  const requests = table.counter('requests', { method: 'GET', status: 200 });
  t.is(reader.snapshot().length, 1);
  requests.add(5);
  table.gauge('inflight', undefined).add();
  t.deepEqual(
    reader.snapshot().map((metric) => metric.kind !== 'histogram' && metric.value),
    [5, 1],
  );
});

test('the same name and labels give the same handle, in whatever order and form they come', (t) => {
  const { table, region } = testCounters(definitions);
  const handle = table.counter('requests', { method: 'GET', status: 200 });
  const used = region.usedBytes;
  t.is(table.counter('requests', { status: 200, method: 'GET' }), handle);
  t.is(table.counter('requests', { method: 'GET', status: '200' }), handle);
  t.is(table.counter('requests', { method: 'GET', status: '200' }), handle);
  t.not(table.counter('requests', { method: 'GET', status: 201 }), handle);
  t.is(table.gauge('inflight', undefined), table.gauge('inflight', {}));
  t.true(region.usedBytes > used);
});

test('values that read the same when joined are different series', (t) => {
  const { table, reader } = testCounters(definitions);
  for (const [method, status] of [
    ['a","b', 'c'],
    ['a', 'b","c'],
    ['', ''],
    ['\0', ''],
    ['', '\0'],
    ['\ud800', 'é€😀'],
  ] as const)
    table.counter('requests', { method, status }).add();
  const seen = reader.snapshot();
  t.is(seen.length, 6);
  t.deepEqual(seen[5]?.labels, { method: '\ud800', status: 'é€😀' });
});

test('labels and names may be called like members of prototypes', (t) => {
  const { table, reader } = testCounters({ constructor: counter({ labels: ['__proto__', 'toString'] }), ['__proto__']: gauge() });
  const labels = JSON.parse('{"__proto__":"a","toString":"b"}') as Record<string, string>;
  table.counter('constructor', labels).add();
  table.gauge('__proto__', undefined).set(1);
  const [first] = reader.snapshot();
  t.deepEqual(Object.entries(first?.labels ?? {}), [
    ['__proto__', 'a'],
    ['toString', 'b'],
  ]);
  t.throws(() => table.counter('toString', undefined), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  t.throws(() => table.counter('constructor', {}), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
});

test('wrong labels, names and kinds are errors that say what is right', (t) => {
  const { table, region } = testCounters(definitions);
  const invalid = { code: 'ERR_PILLION_INVALID_ARGUMENT' };
  t.throws(() => table.counter('requests', undefined), { ...invalid, message: /takes the labels method, status, but was given no labels/ });
  t.throws(() => table.counter('requests', { method: 'GET' }), invalid);
  t.throws(() => table.counter('requests', { method: 'GET', code: 5 }), { ...invalid, message: /given the labels method, code/ });
  t.throws(() => table.counter('requests', { method: 'GET', status: 5, more: 5 }), invalid);
  t.throws(() => table.gauge('inflight', { method: 'GET' }), { ...invalid, message: /takes no labels/ });
  for (const method of [undefined, null, {}, true, 'x'.repeat(257)])
    t.throws(() => table.counter('requests', { method, status: 5 }), { ...invalid, message: /"method"/ });
  t.throws(() => table.counter('inflight', undefined), {
    code: 'ERR_PILLION_UNKNOWN_NAME',
    message: 'contract "test" has no counter "inflight"; it has requests',
  });
  t.throws(() => table.histogram('nowhere', undefined), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  t.is(region.usedBytes, 0);
});

test('numbers that cannot be counted are errors and change nothing', (t) => {
  const { table } = testCounters(definitions);
  const requests = table.counter('requests', { method: 'GET', status: 200 });
  const inflight = table.gauge('inflight', undefined);
  const latency = table.histogram('latency', { route: '/' });
  const nonsense = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, '5', 5n, null, {}, []] as unknown as number[];
  for (const value of [...nonsense, -1, -Number.MIN_VALUE])
    t.throws(() => requests.add(value), { code: 'ERR_PILLION_INVALID_ARGUMENT', message: /counter/ });
  for (const value of nonsense) {
    t.throws(() => inflight.set(value), { code: 'ERR_PILLION_INVALID_ARGUMENT', message: /gauge/ });
    t.throws(() => inflight.add(value), { code: 'ERR_PILLION_INVALID_ARGUMENT', message: /gauge/ });
    t.throws(() => latency.observe(value), { code: 'ERR_PILLION_INVALID_ARGUMENT', message: /histogram/ });
  }
  t.deepEqual([requests.value, inflight.value, latency.count, latency.sum], [0, 0, 0, 0]);
});

test('counts are exact up to 2^53', (t) => {
  const { table, reader } = testCounters({ bytes: counter() });
  const bytes = table.counter('bytes', undefined);
  bytes.add(2 ** 53 - 2);
  bytes.add();
  const [metric] = reader.snapshot();
  t.is(metric?.kind === 'counter' && metric.value, Number.MAX_SAFE_INTEGER);
});

test('a full memory refuses new series, once per attempt, and the old ones go on', (t) => {
  const { table, reader, region } = testCounters(definitions, 4096);
  const made: Counter[] = [];
  const error = t.throws(() => {
    for (let status = 0; ; status++) made.push(table.counter('requests', { method: 'GET', status }));
  });
  t.is((error as { code?: string }).code, 'ERR_PILLION_COUNTERS_FULL');
  t.regex(error?.message ?? '', /"requests" with labels \["GET","\d+"\].*counterBytes=4096/);
  t.true(made.length > 50);
  // Not even a part of what did not fit was written.
  t.throws(() => table.gauge('inflight', undefined), { code: 'ERR_PILLION_COUNTERS_FULL' });
  t.throws(() => table.histogram('latency', { route: '/' }), { code: 'ERR_PILLION_COUNTERS_FULL' });
  for (const [index, handle] of made.entries()) handle.add(index);
  t.is(table.counter('requests', { method: 'GET', status: 1 }), made[1] as Counter);
  t.deepEqual(
    reader.snapshot().map((metric) => metric.kind === 'counter' && metric.value),
    made.map((_, index) => index),
  );
  t.true(region.usedBytes <= 4096 - 128);
});

test('each entry lies in cache lines of its own', (t) => {
  const { table, region } = testCounters(definitions, 65_536);
  for (let i = 0; i < 20; i++) {
    table.histogram('latency', { route: `/${'x'.repeat(i)}` });
    t.is(region.usedBytes % 64, 0);
  }
});
