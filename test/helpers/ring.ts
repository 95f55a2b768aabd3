import { RingConsumer } from '../../src/ring/consumer.js';
import { maxPayloadBytes } from '../../src/ring/layout.js';
import { HEAD, privateRing, type RingMemory, TAIL } from '../../src/ring/memory.js';
import { RingProducer } from '../../src/ring/producer.js';

export interface TestRing {
  memory: RingMemory;
  producer: RingProducer;
  consumer: RingConsumer;
}

export interface RecordSeen {
  payload: Uint8Array;
  tag: number;
  correlationId: number;
  aux: number;
}

/** Both ends of an empty ring in private memory whose positions begin where the test wants. */
export function testRing(capacity: number, position = 0): TestRing {
  const memory = privateRing(capacity);
  memory.control[HEAD] = position | 0;
  memory.control[TAIL] = position | 0;
  return { memory, producer: new RingProducer(memory), consumer: new RingConsumer(memory) };
}

/** Writes and commits one record, unpublished. False if the ring is too full. */
export function put(producer: RingProducer, payload: Uint8Array, tag = 0x00010001, correlationId = 1, aux = 0): boolean {
  const offset = producer.tryClaim(payload.length);
  if (offset < 0) return false;
  producer.bytes.set(payload, offset);
  producer.commit(payload.length, tag, correlationId, aux);
  return true;
}

/** Reads the next record, or null. */
export function take(consumer: RingConsumer): RecordSeen | null {
  if (!consumer.next()) return null;
  const { payloadOffset, payloadLength, tag, correlationId, aux } = consumer;
  return { payload: consumer.bytes.slice(payloadOffset, payloadOffset + payloadLength), tag, correlationId, aux };
}

/** Releases all that was read and tells the producer. */
export function giveBack(consumer: RingConsumer): boolean {
  consumer.release(consumer.readPosition);
  return consumer.publishHead();
}

/** The whole buffer behind a private ring, to see that nothing outside of it changes. */
export function bufferOf(memory: RingMemory): Uint8Array {
  return new Uint8Array(memory.control.buffer);
}

/** All payload lengths that one record of this ring can have. */
export function payloadLengths(capacity: number): number[] {
  return Array.from({ length: maxPayloadBytes(capacity) + 1 }, (_, length) => length);
}
