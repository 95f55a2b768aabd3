import test from 'ava';
import { counter, gauge, histogram } from '../../../src/index.js';
import { readerOf, testCounters } from '../../helpers/counters.js';
import { bytesOf, type CounterVectors, vectors } from '../../helpers/vectors.js';

const { memories } = vectors<CounterVectors>('counters');

for (const vector of memories) {
  const golden = Buffer.alloc(vector.bytes);
  bytesOf(vector.image).copy(golden);

  test(`writes the golden memory: ${vector.name}`, (t) => {
    const definitions = Object.fromEntries(
      vector.metrics.map(({ name, kind, ...options }) => {
        const define = { counter, gauge, histogram }[kind] as (options: unknown) => ReturnType<typeof counter>;
        return [name, define(options)];
      }),
    );
    const { table, region, buffer } = testCounters(definitions, vector.bytes);
    for (const { metric, kind, labels, numbers } of vector.series) {
      const handle = table[kind](metric, labels);
      for (const number of numbers) 'observe' in handle ? handle.observe(number) : handle.add(number);
    }
    t.is(region.usedBytes, vector.used);
    t.is(Buffer.from(buffer).toString('hex'), golden.toString('hex'));
  });

  test(`reads the golden memory: ${vector.name}`, (t) => {
    const read = readerOf(new Uint8Array(golden).buffer).snapshot();
    // JSON has no Infinity: what comes back is null, as in the vector.
    const sorted = (items: unknown[]): unknown[] => items.map((item) => Object.fromEntries(Object.entries(item as object).sort()));
    t.deepEqual(sorted(JSON.parse(JSON.stringify(read)) as unknown[]), sorted(vector.snapshot));
  });
}
