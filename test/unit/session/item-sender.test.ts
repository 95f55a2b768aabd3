import test from 'ava';
import { resolveCodec } from '../../../src/protocol/codec.js';
import { FrameWriter } from '../../../src/session/frame-writer.js';
import { ItemSender, sendAll } from '../../../src/session/item-sender.js';
import { testRing } from '../../helpers/ring.js';

test('a source that never has to wait leaves the event loop its turns', async (t) => {
  const ring = testRing(2 ** 26);
  const writer = new FrameWriter(ring.producer, () => {});
  const sender = new ItemSender(writer, 1, { name: 'items', codec: resolveCodec('raw'), maxMessageBytes: 1000 }, 2 ** 31 - 1);
  const item = new Uint8Array(64);
  const fits = 2 ** 26 / 80;
  let isOver = false;
  let count = 0;
  setImmediate(() => {
    isOver = true;
  });
  function* source(): Generator<Uint8Array> {
    while (!isOver && count < fits) {
      count++;
      yield item;
    }
  }
  t.true(await sendAll(source(), sender));
  t.true(isOver);
  t.true(count < fits, `${count} items`);
});
