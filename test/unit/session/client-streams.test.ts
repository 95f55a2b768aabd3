import test from 'ava';
import { ProtocolError } from '../../../src/errors.js';
import { resolveCodec } from '../../../src/protocol/codec.js';
import { CALL, CANCEL, CREDIT, END, ERROR, ITEM, kindOf, tagOf } from '../../../src/protocol/frame.js';
import { HEAD } from '../../../src/ring/memory.js';
import { ClientStreams, type StreamLimits } from '../../../src/session/client-streams.js';
import { FrameWriter } from '../../../src/session/frame-writer.js';
import type { Target } from '../../../src/session/target.js';
import { until } from '../../helpers/deadline.js';
import { LoopbackChannel } from '../../helpers/loopback-channel.js';
import { giveBack, take } from '../../helpers/ring.js';

const format = { name: 'items', codec: resolveCodec('raw'), maxMessageBytes: 100_000 };
const target = {} as Target;
const limits: StreamLimits = { timeoutMs: Number.POSITIVE_INFINITY, signal: null, windowBytes: 1000 };

/** The streams of a client whose ring the test reads. */
function start() {
  const channel = new LoopbackChannel(4096);
  const writer = new FrameWriter(channel.producer, () => {});
  writer.useChannel(channel);
  const faults: unknown[] = [];
  let lastId = 0;
  const streams = new ClientStreams({
    writer,
    open: () => ({ id: ++lastId, recordCount: 1, isWritten: true }),
    cancelStream: (id) => writer.writeControl(tagOf(CANCEL, 0, 0), id, 0),
    onStreamsChanged: () => {},
    onStreamOver: () => {},
    onFault: (error) => faults.push(error),
  });
  /** The kinds of the frames written since the last time. */
  const written = (): number[] => {
    const kinds: number[] = [];
    for (let record = take(channel.peer.consumer); record !== null; record = take(channel.peer.consumer)) kinds.push(kindOf(record.tag));
    giveBack(channel.peer.consumer);
    return kinds;
  };
  /** What a hostile server does to its position. */
  const corrupt = (): void => {
    Atomics.store(channel.peer.outbound.control, HEAD, 0x7ffffff8);
  };
  const fill = (): void => {
    while (writer.tryWrite(tagOf(CALL, 0, 0), 0x999, 0, { bytes: new Uint8Array(900), words: null, start: 0, end: 900, isStable: true }));
  };
  return { streams, written, corrupt, fill, faults, writer, channel };
}

test('the end of a duplex stream waits until a server has taken it', async (t) => {
  const { streams, written } = start();
  const end = streams.openDuplex(target, format, limits);
  await end.end();
  t.deepEqual(written(), []);
  streams.onCredit(1, 1000);
  t.deepEqual(written(), [END]);
  streams.onEnd(1);
  t.is(streams.size, 0);
});

test('write after end is refused, and what was written before keeps its place', async (t) => {
  const { streams, written } = start();
  const end = streams.openDuplex(target, format, limits);
  const first = end.write(new Uint8Array(1));
  const ended = end.end();
  await t.throwsAsync(end.write(new Uint8Array(2)), { code: 'ERR_PILLION_CLOSED' });
  t.false(end.isWritable);
  streams.onCredit(1, 1000);
  t.true(await first);
  await ended;
  t.deepEqual(written(), [ITEM, END]);
});

test('writes that wait for credit resolve to false when the other side stops, or this one is destroyed', async (t) => {
  const { streams, written } = start();
  const stopped = streams.openDuplex(target, format, limits);
  const destroyed = streams.openDuplex(target, format, limits);
  const results = [stopped.write(new Uint8Array(1)), stopped.write(new Uint8Array(1)), destroyed.write(new Uint8Array(1))];
  streams.onStop(1);
  destroyed.destroy(new Error('mine'));
  t.deepEqual(await Promise.all(results), [false, false, false]);
  await t.throwsAsync(destroyed.next(), { message: 'mine' });
  t.deepEqual(written(), [CANCEL]);
});

test('a write resolves when its bytes are the caller’s own again', async (t) => {
  const { streams, fill, writer, written } = start();
  const end = streams.openDuplex(target, format, limits);
  streams.onCredit(1, 1000);
  fill();
  let isWritten = false;
  const write = end.write(new Uint8Array(500)).then((result) => {
    isWritten = true;
    return result;
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.false(isWritten);
  written();
  writer.pump();
  t.true(await write);
  t.deepEqual(written(), [ITEM]);
});

test('a stream that is cancelled while its item waits for space is over at once', async (t) => {
  const { streams, fill, writer, written } = start();
  const source = { isStopped: false };
  const generate = function* () {
    try {
      for (;;) yield new Uint8Array(500);
    } finally {
      source.isStopped = true;
    }
  };
  const controller = new AbortController();
  const result = streams.upload(target, format, generate(), { ...limits, signal: controller.signal });
  fill();
  streams.onCredit(1, 1_000_000);
  await until('an item waits', () => writer.hasQueue);
  controller.abort(new Error('enough'));
  await t.throwsAsync(result, { message: 'enough' });
  t.true(source.isStopped);
  t.is(streams.size, 0);
  for (let kinds = written(); kinds.length > 0; kinds = written()) writer.pump();
  t.false(writer.hasQueue);
});

test('a failing source does not overtake its last item', async (t) => {
  const { streams, fill, written, writer } = start();
  const result = streams.upload(
    target,
    format,
    (function* () {
      yield new Uint8Array(1);
      throw new Error('source failed');
    })(),
    limits,
  );
  streams.onCredit(1, 1000);
  await t.throwsAsync(result, { message: 'source failed' });
  t.deepEqual(written(), [ITEM, ERROR]);
  const port = streams.openUpload(target, format, limits);
  port.result.catch(() => {});
  streams.onCredit(2, 1000);
  fill();
  port.output.send(new Uint8Array(500));
  port.abort(new Error('changed my mind'));
  t.is(written().at(-1), CANCEL);
  writer.pump();
  t.deepEqual(written(), [ITEM]);
});

test('what had arrived is still read when the stream is over, and no credit is given for it', async (t) => {
  const { streams, written } = start();
  const items = streams.openStream(target, format, undefined, limits);
  for (let item = 0; item < 10; item++) {
    t.true(streams.beginItem(1));
    streams.onItem(1, 80, () => new Uint8Array(80));
  }
  streams.failAll(() => new Error('closed'));
  for (let item = 0; item < 10; item++) t.is((await items.next()).done, false);
  await t.throwsAsync(items.next(), { message: 'closed' });
  t.deepEqual(written(), []);
});

test('an unreferenced stream does not count for those that keep the process alive', (t) => {
  const { streams } = start();
  const socket = streams.openDuplex(target, format, limits).toDuplex();
  t.is(streams.referencedCount, 1);
  socket.unref().unref();
  t.is(streams.referencedCount, 0);
  socket.ref();
  t.is(streams.referencedCount, 1);
  socket.unref();
  socket.destroy();
  socket.ref();
  t.is(streams.referencedCount, 0);
  t.is(streams.size, 0);
});

test('frames for a direction that the kind does not have break the protocol', (t) => {
  const { streams } = start();
  streams.openStream(target, format, undefined, limits);
  void streams.upload(target, format, [], limits).catch(() => {});
  const end = streams.openDuplex(target, format, limits);
  const breach = { instanceOf: ProtocolError };
  t.throws(() => streams.onCredit(1, 100), breach);
  t.throws(() => streams.beginItem(2), breach);
  streams.onEnd(3);
  t.throws(() => streams.beginItem(3), breach);
  t.throws(() => streams.onCredit(3, 0), breach);
  t.true(end.isWritable);
});

for (const [what, act] of [
  ['an item', (end) => void end.write(new Uint8Array(900)).catch(() => {})],
  ['the end', (end) => void end.end()],
  ['a cancellation', (end) => end.destroy()],
] as [string, (end: ReturnType<ClientStreams['openDuplex']>) => void][]) {
  test(`a server whose position cannot be costs the connection and nothing else: ${what}`, async (t) => {
    const { streams, corrupt, fill, faults, channel } = start();
    const end = streams.openDuplex(target, format, limits);
    streams.onCredit(1, 1000);
    fill();
    corrupt();
    // Only a full ring looks at the position.
    while (channel.producer.capacity - channel.producer.usedBytes >= 16) {
      channel.producer.commit(0, tagOf(CREDIT, 0, 0), 1, 1);
    }
    act(end);
    await until('the fault is told', () => faults.length > 0);
    t.true(faults[0] instanceof ProtocolError);
  });
}
