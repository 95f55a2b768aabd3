import test, { type ExecutionContext } from 'ava';
import { native } from '../../../src/native.js';
import { RingConsumer } from '../../../src/ring/consumer.js';
import { maxPayloadBytes } from '../../../src/ring/layout.js';
import { HEAD, privateRing, type RingMemory, ringsOfSegment, TAIL } from '../../../src/ring/memory.js';
import { RingProducer } from '../../../src/ring/producer.js';
import { pattern } from '../../helpers/bytes.js';
import { giveBack, payloadLengths, put, take } from '../../helpers/ring.js';

/** Sends one record of each length at one start position through a ring full of other bytes. */
function check(t: ExecutionContext, memory: RingMemory, position: number, lengths: readonly number[]): boolean {
  for (const length of lengths) {
    memory.bytes.fill(0xee);
    memory.control[HEAD] = position | 0;
    memory.control[TAIL] = position | 0;
    const producer = new RingProducer(memory);
    const consumer = new RingConsumer(memory);
    const payload = pattern(length, position >>> 3);
    const isPut = put(producer, payload, 0x12345678, 0x7fffffff - length, length * 3);
    producer.publish();
    const seen = take(consumer);
    giveBack(consumer);
    const isSame =
      isPut &&
      seen !== null &&
      Buffer.compare(seen.payload, payload) === 0 &&
      seen.tag === 0x12345678 &&
      seen.correlationId === 0x7fffffff - length &&
      seen.aux === length * 3 &&
      !consumer.hasNext() &&
      memory.control[HEAD] === memory.control[TAIL];
    if (!isSame) {
      t.fail(`length=${length} position=${position >>> 0} capacity=${memory.capacity}`);
      return false;
    }
  }
  return true;
}

for (const capacity of [64, 128, 256, 512]) {
  test(`every payload length arrives unchanged from every start offset of a ring of ${capacity}`, (t) => {
    for (let position = 0; position < capacity; position += 8) {
      if (!check(t, privateRing(capacity), position, payloadLengths(capacity))) return;
    }
    t.pass();
  });
}

test('the same holds across the end of a ring that is mapped twice', (t) => {
  const { addon } = native();
  if (addon === null) return t.log('no addon, no mapping');
  const segment = addon.Segment.create(4096, 4096);
  const rings = ringsOfSegment(segment.buffer, segment.headerBytes, segment.capacities);
  const most = maxPayloadBytes(4096);
  const lengths = [0, 1, 7, 8, 9, 100, 511, 512, 513, most - 1, most];
  for (const ring of rings) {
    for (let position = 0; position < 4096; position += 8) {
      if (position < 3056 && position % 256 !== 0) continue;
      if (!check(t, ring, position, lengths)) return;
    }
  }
  segment.close();
  t.pass();
});
