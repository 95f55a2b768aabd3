import type { MetricDefinition } from '../../src/counters/definitions.js';
import { CounterReader } from '../../src/counters/reader.js';
import { CounterRegion } from '../../src/counters/region.js';
import { CounterTable } from '../../src/counters/table.js';

/** A reader of private memory, as a sidecar has one of shared memory. */
export function readerOf(buffer: ArrayBuffer): CounterReader {
  return new CounterReader({ buffer, close: () => {} });
}

/** An app's counters and a sidecar's view of them, in one process. */
export function testCounters(definitions: Record<string, MetricDefinition>, bytes = 4096) {
  const region = new CounterRegion(bytes, null, 'a test');
  const table = new CounterTable('test', Object.entries(definitions), region);
  const buffer = region.cells.buffer as ArrayBuffer;
  return { region, table, buffer, reader: readerOf(buffer) };
}
