import test from 'ava';
import { native } from '../../../src/native.js';
import { tagOf } from '../../../src/protocol/frame.js';
import { RingConsumer } from '../../../src/ring/consumer.js';
import {
  CONTROL_BYTES_PER_RING,
  CONTROL_OFFSET,
  HEAD_OFFSET,
  PARKED_OFFSET,
  STARVED_OFFSET,
  TAIL_OFFSET,
} from '../../../src/ring/layout.js';
import { HEAD, ringsOfSegment, TAIL } from '../../../src/ring/memory.js';
import { RingProducer } from '../../../src/ring/producer.js';
import { put, take } from '../../helpers/ring.js';
import { bytesOf, type SegmentVectors, vectors } from '../../helpers/vectors.js';

const { controlWords, rings, segments } = vectors<SegmentVectors>('segment');
const { addon } = native();

test('the golden control words are where the rings have them', (t) => {
  const offsets = { tail: TAIL_OFFSET, head: HEAD_OFFSET, parked: PARKED_OFFSET, starved: STARVED_OFFSET };
  for (const [name, hex] of Object.entries(controlWords)) {
    const [ring, word] = name.split('.') as [string, keyof typeof offsets];
    t.is(Number(hex), CONTROL_OFFSET + Number(ring) * CONTROL_BYTES_PER_RING + offsets[word], name);
  }
  t.is(Object.keys(controlWords).length, 8);
});

for (const vector of segments) {
  const isFresh = Object.keys(vector.words).every((offset) => Number(offset) < CONTROL_OFFSET);
  // A segment that this side creates has a header of one page.
  if (addon === null || !isFresh || vector.headerBytes !== 4096) continue;
  test(`creates the golden page 0: ${vector.name}`, (t) => {
    const [first, second] = vector.rings.map(({ capacity }) => capacity) as [number, number];
    const arenaBytes = vector.arena?.bytes ?? 0;
    const segment = addon.Segment.create(first, second, arenaBytes);
    t.is(segment.arena?.byteLength ?? 0, arenaBytes);
    t.is(Buffer.from(segment.buffer, 0, 4096).toString('hex'), vector.page0.padEnd(8192, '0'));
    t.is(segment.headerBytes, vector.headerBytes);
    t.deepEqual(segment.capacities, [first, second]);
    t.is(segment.buffer.byteLength, vector.headerBytes + 2 * first + 2 * second);
    segment.close();
  });
}

for (const vector of segments) {
  test(`finds the golden words of page 0: ${vector.name}`, (t) => {
    const page = bytesOf(vector.page0);
    for (const [offset, bytes] of Object.entries(vector.words)) {
      t.is(page.subarray(Number(offset), Number(offset) + 4).toString('hex'), bytes, offset);
    }
    if (page.length < 4096) return;
    const buffer = new ArrayBuffer(4096 + 4 * 4096);
    new Uint8Array(buffer).set(page.subarray(0, 4096));
    // Only the control words matter here; the data is not part of the vector.
    const word = (name: string): number => page.readInt32LE(Number(controlWords[name]));
    for (const [index, ring] of ringsOfSegment(buffer, 4096, [4096, 4096]).entries()) {
      t.is(ring.control[TAIL], word(`${index}.tail`));
      t.is(ring.control[HEAD], word(`${index}.head`));
    }
  });
}

for (const vector of rings) {
  if (addon === null || vector.capacity !== 4096) continue;
  test(`writes the golden ring: ${vector.name}`, (t) => {
    const segment = addon.Segment.create(4096, 4096);
    const [memory] = ringsOfSegment(segment.buffer, segment.headerBytes, segment.capacities);
    memory.control[HEAD] = vector.head | 0;
    memory.control[TAIL] = vector.head | 0;
    const producer = new RingProducer(memory);
    for (const { header, payload } of vector.records) {
      t.true(put(producer, bytesOf(payload), tagOf(header.kind, header.flags, header.target), header.correlation, header.aux));
    }
    producer.publish();
    t.is(producer.producerPosition, vector.tail);
    t.is(producer.usedBytes, vector.used);
    const written = Buffer.from(memory.bytes.subarray(0, 4096));
    const golden = bytesOf(vector.image);
    // Bytes that belong to no record may be anything.
    for (let position = vector.head; position !== vector.tail; position = (position + 1) % 2 ** 32) {
      const at = position % 4096;
      if (written[at] !== golden[at]) return t.fail(`position ${position}: ${written[at]} instead of ${golden[at]}`);
    }
    segment.close();
  });

  test(`reads the golden ring: ${vector.name}`, (t) => {
    const segment = addon.Segment.create(4096, 4096);
    const [memory] = ringsOfSegment(segment.buffer, segment.headerBytes, segment.capacities);
    memory.bytes.set(bytesOf(vector.image));
    memory.control[HEAD] = vector.head | 0;
    memory.control[TAIL] = vector.tail | 0;
    const consumer = new RingConsumer(memory);
    for (const { header, payload } of vector.records) {
      const seen = take(consumer);
      t.is(Buffer.from(seen?.payload as Uint8Array).toString('hex'), payload);
      t.is((seen?.tag as number) >>> 0, tagOf(header.kind, header.flags, header.target) >>> 0);
      t.is((seen?.correlationId as number) >>> 0, header.correlation);
    }
    t.false(consumer.hasNext());
    segment.close();
  });
}
