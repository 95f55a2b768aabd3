import test from 'ava';
import { ProtocolError } from '../../../src/errors.js';
import { type PayloadCodec, resolveCodec } from '../../../src/protocol/codec.js';
import { EVENT, kindOf, STATE, targetOf } from '../../../src/protocol/frame.js';
import { HEAD } from '../../../src/ring/memory.js';
import { FrameWriter } from '../../../src/session/frame-writer.js';
import { PushWriter, SharedMessage } from '../../../src/session/push-writer.js';
import { pattern } from '../../helpers/bytes.js';
import { giveBack, type RecordSeen, take, testRing } from '../../helpers/ring.js';

const raw = resolveCodec('raw');
const CAPACITY = 4096;

function start() {
  const ring = testRing(CAPACITY);
  const writer = new FrameWriter(ring.producer, () => {});
  const faults: unknown[] = [];
  let replaced = 0;
  const pushes = new PushWriter({
    writer,
    targets: new Map(['state', 'other', 'said'].map((name, index) => [name, { index: index + 3, codec: raw }])),
    maxMessageBytes: 1_000_000,
    announce: () => {},
    onReplaced: () => replaced++,
    onFault: (error) => faults.push(error),
  });
  /** Reads everything, as often as there is more. */
  const read = (): RecordSeen[] => {
    const records: RecordSeen[] = [];
    for (let length = -1; length !== records.length; ) {
      length = records.length;
      for (let record = take(ring.consumer); record !== null; record = take(ring.consumer)) records.push(record);
      giveBack(ring.consumer);
      writer.pump();
    }
    return records;
  };
  return { ring, writer, pushes, faults, read, replaced: () => replaced };
}

const message = (length: number, salt = 0): SharedMessage => new SharedMessage(pattern(length, salt), raw);

test('states and broadcasts are frames of their own kinds, with the index of the client', (t) => {
  const { pushes, read } = start();
  pushes.pushState('state', message(5, 1));
  t.is(pushes.pushBroadcast('said', message(6, 2), 'drop'), 'sent');
  t.is(pushes.pushBroadcast('nowhere', message(6, 2), 'disconnect'), 'unknown');
  pushes.pushState('nowhere', message(5, 1));
  const records = read();
  t.deepEqual(
    records.map(({ tag, payload }) => [kindOf(tag), targetOf(tag), payload.length]),
    [
      [STATE, 3, 5],
      [EVENT, 5, 6],
    ],
  );
  t.true(records.every(({ correlationId }) => correlationId !== 0));
});

test('of the values that a client has no room for the last one of each name is sent', (t) => {
  const { pushes, writer, read } = start();
  for (let salt = 0; salt < 10_000; salt++) {
    pushes.pushState('state', message(900, salt));
    pushes.pushState('other', message(901, salt));
  }
  t.is(writer.queuedBytes, 0);
  const last = read().slice(-2);
  t.deepEqual(
    last.map(({ payload }) => payload),
    [pattern(900, 9999), pattern(901, 9999)],
  );
});

test('a value in fragments is finished, then the latest follows', (t) => {
  const { pushes, writer, read } = start();
  for (let salt = 0; salt < 100; salt++) pushes.pushState('state', message(10_000, salt));
  t.true(writer.queuedBytes < 11_000);
  const bytes = Buffer.concat(read().map(({ payload }) => payload));
  t.deepEqual(new Uint8Array(bytes), new Uint8Array(Buffer.concat([pattern(10_000, 0), pattern(10_000, 99)])));
});

test('a broadcast in fragments is not sent again before it is through', (t) => {
  const { pushes, read } = start();
  t.is(pushes.pushBroadcast('said', message(10_000, 0), 'drop'), 'sent');
  t.is(pushes.pushBroadcast('said', message(10_000, 1), 'drop'), 'dropped');
  read();
  t.is(pushes.pushBroadcast('said', message(10_000, 2), 'drop'), 'sent');
});

test('a latest-only broadcast that is replaced is counted', (t) => {
  const { pushes, read, replaced } = start();
  let sent = 0;
  while (replaced() === 0) {
    t.is(pushes.pushBroadcast('said', message(900, sent), 'latest'), 'sent');
    sent++;
  }
  pushes.pushState('state', message(900));
  pushes.pushState('state', message(900));
  t.is(replaced(), 1);
  t.is(read().filter(({ tag }) => kindOf(tag) === EVENT).length, sent - 1);
});

test('a client whose position cannot be ends alone: who tells it something hears nothing of it', (t) => {
  for (const push of [
    ({ pushes }: ReturnType<typeof start>) => pushes.pushState('state', message(900)),
    ({ pushes }: ReturnType<typeof start>) => pushes.pushBroadcast('said', message(900), 'drop'),
    ({ pushes }: ReturnType<typeof start>) => pushes.pushBroadcast('said', message(9000), 'latest'),
  ]) {
    const started = start();
    while (started.writer.tryWrite(1, 1, 0, { bytes: pattern(900), words: null, start: 0, end: 900, isStable: true }));
    started.ring.memory.control[HEAD] = 12;
    t.notThrows(() => push(started));
    t.true(started.faults[0] instanceof ProtocolError);
  }
});

test('nothing is sent behind GOODBYE, not even what waited', (t) => {
  const { pushes, writer, read } = start();
  for (let salt = 0; salt < 10; salt++) pushes.pushState('state', message(900, salt));
  pushes.close();
  const before = read().length;
  pushes.pushState('state', message(5));
  pushes.pushState('state', message(5000));
  t.is(pushes.pushBroadcast('said', message(6), 'disconnect'), 'dropped');
  writer.pump();
  t.is(read().length, 0);
  t.true(before < 10);
});

test('a value is encoded when the message is made, and once for each other codec', (t) => {
  let count = 0;
  const json = resolveCodec('json');
  const encode = (value: unknown) => {
    count++;
    return json.encode(value);
  };
  const counting: PayloadCodec = { name: 'counted', encode, decode: json.decode, decodeOwned: json.decodeOwned };
  const value = { n: 1 };
  const shared = new SharedMessage(value, resolveCodec('msgpack'));
  value.n = 2;
  t.is(Buffer.from(shared.bytesFor(counting) as Uint8Array).toString(), '{"n":1}');
  shared.bytesFor(counting);
  t.is(count, 1);
  t.is(shared.bytesFor(raw), null);
});
