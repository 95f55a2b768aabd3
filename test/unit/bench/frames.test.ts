import { PassThrough } from 'node:stream';
import test from 'ava';
import { fillFrame, verifyFrame } from '../../../bench/rig/payload.js';
import { FrameReader, packRange, unpackRange, writeFrames } from '../../../bench/transports/frames.js';

/** Items in a stream of bytes, and frames of which every byte counts. */

const lengths = [1, 3, 4, 64, 1_000, 70_000, 2];
const items = lengths.map((length, index) => Buffer.alloc(length, index + 1));

async function written(): Promise<Buffer> {
  const stream = new PassThrough({ highWaterMark: 16 });
  const chunks: Buffer[] = [];
  stream.on('data', (chunk) => chunks.push(chunk));
  // Each item is in the same memory, as the producers of the suite do it.
  const shared = Buffer.alloc(Math.max(...lengths));
  function* sameMemory() {
    for (const item of items) {
      shared.set(item);
      yield shared.subarray(0, item.length);
    }
  }
  await writeFrames(stream, sameMemory());
  await new Promise((resolve) => setImmediate(resolve));
  return Buffer.concat(chunks);
}

for (const chunkLength of [1, 2, 3, 4, 5, 7, 68, 1_024, 65_536, 200_000]) {
  test(`items arrive whole out of chunks of ${chunkLength} bytes, and so does their end`, async (t) => {
    const bytes = await written();
    const found: Buffer[] = [];
    let ends = 0;
    const reader = new FrameReader(
      (item) => found.push(Buffer.from(item)),
      () => ends++,
    );
    for (let at = 0; at < bytes.length; at += chunkLength) reader.read(bytes.subarray(at, at + chunkLength));
    t.deepEqual(
      found.map(({ length }) => length),
      lengths,
    );
    t.true(found.every((item, index) => item.equals(items[index] as Buffer)));
    t.is(ends, 1);
  });
}

test('a range stays what it is', (t) => {
  t.deepEqual(unpackRange(packRange({ first: 7, count: 9 })), { first: 7, count: 9 });
});

test('a frame is damaged when any byte of it is', (t) => {
  const frame = Buffer.alloc(50);
  for (const sequence of [1, 254, 255, 256, 70_000]) {
    fillFrame(frame, sequence);
    t.notThrows(() => verifyFrame(frame, 50, sequence));
    t.throws(() => verifyFrame(frame, 50, sequence + 1));
    t.throws(() => verifyFrame(frame.subarray(1), 50, sequence));
    for (let index = 0; index < frame.length; index++) {
      frame[index] = (frame[index] as number) ^ 1;
      t.throws(() => verifyFrame(frame, 50, sequence), { message: `frame ${sequence} arrived out of order or damaged` });
      frame[index] = (frame[index] as number) ^ 1;
    }
  }
});
