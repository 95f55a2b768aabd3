import test from 'ava';
import { ProtocolError } from '../../../src/errors.js';
import { checkTag, EVENT, flagsOf, kindOf, REDELIVERED, tagOf, targetOf } from '../../../src/protocol/frame.js';
import { TAIL } from '../../../src/ring/memory.js';
import { FrameWriter } from '../../../src/session/frame-writer.js';
import { put, take, testRing } from '../../helpers/ring.js';
import { bytesOf, type FrameVectors, vectors } from '../../helpers/vectors.js';

const { frames, messages } = vectors<FrameVectors>('frames');

for (const vector of frames) {
  const { kind, flags, target, correlation, aux, payloadLength } = vector.header;

  test(`writes the golden bytes: ${vector.name}`, (t) => {
    const { memory, producer } = testRing(8192);
    memory.bytes.fill(0xee);
    t.true(put(producer, bytesOf(vector.payload), tagOf(kind, flags, target), correlation, aux));
    t.is(producer.producerPosition, vector.recordBytes);
    t.is(Buffer.from(memory.bytes.subarray(0, vector.recordBytes)).toString('hex'), vector.record);
  });

  test(`reads the golden bytes: ${vector.name}`, (t) => {
    const { consumer, memory } = testRing(8192);
    memory.bytes.set(bytesOf(vector.record));
    memory.control[TAIL] = vector.recordBytes;
    const seen = take(consumer);
    t.is(Buffer.from(seen?.payload as Uint8Array).toString('hex'), vector.payload);
    const tag = seen?.tag as number;
    t.deepEqual(
      [
        consumer.payloadLength,
        kindOf(tag),
        flagsOf(tag),
        targetOf(tag),
        (seen?.correlationId as number) >>> 0,
        (seen?.aux as number) >>> 0,
      ],
      [payloadLength, kind, flags, target, correlation, aux],
    );
    for (const sender of ['client', 'server'] as const) {
      if (vector.senders.includes(sender)) t.notThrows(() => checkTag(tag, sender));
      // Whose an EVENT is shows in the kind of its name, which a tag alone does not tell.
      else if (kind !== EVENT || (flags & REDELIVERED) !== 0) t.throws(() => checkTag(tag, sender), { instanceOf: ProtocolError });
    }
    t.false(consumer.hasNext());
  });
}

for (const message of messages) {
  test(`cuts a message into the golden fragments: ${message.name}`, (t) => {
    const { memory, producer } = testRing(message.ringCapacity);
    const writer = new FrameWriter(producer, () => {});
    const payload = bytesOf(message.payload);
    const encoded = { bytes: payload, words: null, start: 0, end: payload.length, isStable: false };
    const kind = message.records[0]?.header.kind as number;
    const tag = tagOf(kind, message.flags, message.target);
    if (message.kindName === 'EVENT' && message.sender === 'client') t.true(writer.tryWriteEvent(tag, message.correlation, encoded));
    else writer.write(tag, message.correlation, message.aux, encoded);
    const golden = message.records.map(({ record }) => record).join('');
    t.is(Buffer.from(memory.bytes.subarray(0, golden.length / 2)).toString('hex'), golden);
    t.is(memory.control[TAIL], golden.length / 2);
  });
}
