import test from 'ava';
import { resolveCodec } from '../../../src/protocol/codec.js';
import { CALL, ERROR, EVENT, kindOf, META, MORE, REPLY, tagOf } from '../../../src/protocol/frame.js';
import { behindHeaders, encodeHeaders } from '../../../src/protocol/headers.js';
import { ClientPushes, type PushFormat } from '../../../src/session/client-pushes.js';
import type { HandlerContext } from '../../../src/session/handler-context.js';
import type { Route } from '../../../src/session/route.js';
import { ServerSession } from '../../../src/session/server-session.js';
import { newServerCounters } from '../../../src/stats.js';
import { pattern } from '../../helpers/bytes.js';
import { LoopbackChannel } from '../../helpers/loopback-channel.js';
import { put, take } from '../../helpers/ring.js';

const raw = resolveCodec('raw');
const META_BIT = META << 8;
const MORE_BIT = MORE << 8;

/** A session with event 0, method 1 and upload 2; the test is its client, which may write what it likes. */
function start({ concurrency = Number.POSITIVE_INFINITY } = {}) {
  const channel = new LoopbackChannel(65536);
  const seen: { payload: Uint8Array; headers: object }[] = [];
  const errors: unknown[] = [];
  const ends: (Error | null)[] = [];
  let finish: () => void = () => {};
  const handler = (payload: Uint8Array, { headers }: HandlerContext): unknown => {
    seen.push({ payload: new Uint8Array(payload), headers: { ...headers } });
    if (concurrency > 1) return payload;
    return new Promise<Uint8Array>((resolve) => {
      finish = () => resolve(payload);
    });
  };
  const upload = (_items: unknown, { headers }: HandlerContext): unknown => {
    seen.push({ payload: new Uint8Array(0), headers: { ...headers } });
    return new Uint8Array(0);
  };
  const route = (name: string, kind: string, own: Route['handler']): Route => ({ name, kind, handler: own, codec: raw, problem: '' });
  new ServerSession({
    channel,
    contractName: 'test',
    peer: { pid: 1, uid: 1, gid: 1, runtime: 'test' },
    clientId: 'client',
    routes: [
      route('event', 'event', (...args) => void handler(...args)),
      route('method', 'method', handler),
      route('upload', 'upload', upload),
    ],
    maxMessageBytes: 20_000,
    maxQueuedBytes: 100_000,
    exposeStacks: false,
    concurrency,
    maxOpenStreams: 1024,
    checksViews: true,
    windowBytes: 65536,
    pushTargets: new Map(),
    counters: newServerCounters(),
    onHandlerError: (error) => errors.push((error as { code?: unknown }).code),
    onEnd: (error) => ends.push(error),
  });
  const { producer, consumer } = channel.peer;
  const send = (tag: number, id: number, payload: Uint8Array, aux = 0): void => {
    put(producer, payload, tag, id, aux);
    producer.publish();
  };
  const answers = (): [number, string][] => {
    const list: [number, string][] = [];
    for (let record = take(consumer); record !== null; record = take(consumer)) {
      const kind = kindOf(record.tag);
      list.push([kind, kind === ERROR ? JSON.parse(Buffer.from(record.payload).toString()).code : '']);
    }
    return list;
  };
  return { channel, send, answers, seen, errors, ends, finish: () => finish() };
}

const eventTag = tagOf(EVENT, 0, 0);
const callTag = tagOf(CALL, 0, 1);
const uploadTag = tagOf(CALL, 0, 2);

/** Bytes behind headers, as they travel. */
const message = (headers: Record<string, string>, value: Uint8Array): Uint8Array =>
  behindHeaders(encodeHeaders(headers) as Uint8Array, raw.encode(value)).bytes;

const bad = [
  new Uint8Array(0),
  new Uint8Array(3),
  Buffer.from('ffffffff', 'hex'),
  Buffer.from('0200000000000000', 'hex'),
  Buffer.from('020000007b7d', 'hex'),
  Buffer.concat([Buffer.from('08000000', 'hex'), Buffer.from('{"a":17}'), Buffer.alloc(4)]),
  Buffer.concat([Buffer.from('00000100', 'hex'), Buffer.alloc(10_000, ' ')]),
];

test('headers that are wrong fail their call alone', (t) => {
  const { channel, send, answers, seen, ends } = start();
  for (const [index, payload] of bad.entries()) send(callTag | META_BIT, index + 1, payload);
  send(callTag | META_BIT, 99, message({ a: 'b' }, pattern(5)));
  channel.ready();
  t.deepEqual(answers(), [...bad.map((): [number, string] => [ERROR, 'ERR_PILLION_DECODE']), [REPLY, '']]);
  t.deepEqual(seen, [{ payload: pattern(5), headers: { a: 'b' } }]);
  t.deepEqual(ends, []);
});

test('headers that are wrong fail their event alone, which is counted and released', (t) => {
  const { channel, send, seen, errors, ends } = start();
  for (const [index, payload] of bad.entries()) send(eventTag | META_BIT, index + 1, payload);
  send(eventTag | META_BIT, 99, message({ a: 'b' }, pattern(5)));
  channel.ready();
  t.deepEqual(
    errors,
    bad.map(() => 'ERR_PILLION_DECODE'),
  );
  t.deepEqual(seen, [{ payload: pattern(5), headers: { a: 'b' } }]);
  t.deepEqual(ends, []);
  channel.peer.producer.refreshHead();
  t.is(channel.peer.producer.usedBytes, 0);
});

test('headers that are wrong fail the opening of a stream alone', async (t) => {
  const { channel, send, answers, seen, ends } = start();
  for (const [index, payload] of bad.entries()) send(uploadTag | META_BIT, index + 1, payload);
  send(uploadTag | META_BIT, 99, message({ a: 'b' }, new Uint8Array(0)));
  channel.ready();
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(
    answers()
      .filter(([kind]) => kind === ERROR)
      .map(([, code]) => code),
    bad.map(() => 'ERR_PILLION_DECODE'),
  );
  t.deepEqual(seen, [{ payload: new Uint8Array(0), headers: { a: 'b' } }]);
  t.deepEqual(ends, []);
});

test('headers may be cut anywhere into fragments', (t) => {
  const whole = message({ name: 'value' }, pattern(20));
  const { channel, send, seen, ends } = start();
  for (let cut = 1; cut < whole.length; cut++) {
    send(callTag | META_BIT | MORE_BIT, cut, whole.subarray(0, cut));
    send(callTag | META_BIT, cut, whole.subarray(cut), cut);
    send(eventTag | META_BIT | MORE_BIT, cut, whole.subarray(0, cut));
    send(eventTag | META_BIT, cut, whole.subarray(cut), cut);
    channel.ready();
  }
  t.deepEqual(ends, []);
  t.is(seen.length, 2 * (whole.length - 1));
  for (const one of seen) t.deepEqual(one, { payload: pattern(20), headers: { name: 'value' } });
});

test('a call that has to wait keeps its headers', async (t) => {
  const { channel, send, seen, finish } = start({ concurrency: 1 });
  for (const id of [1, 2, 3]) send(callTag | META_BIT, id, message({ id: String(id) }, pattern(id)));
  send(callTag, 4, pattern(4));
  send(callTag | META_BIT, 5, message({ id: '5' }, pattern(5)));
  channel.ready();
  for (let round = 0; round < 5; round++) {
    finish();
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.deepEqual(
    seen,
    [1, 2, 3, 4, 5].map((id) => ({ payload: pattern(id), headers: id === 4 ? {} : { id: String(id) } })),
  );
});

test('a message that is too long because of its headers fails alone', (t) => {
  const { channel, send, answers, ends } = start();
  const whole = message({ a: 'x'.repeat(8000) }, pattern(13_000));
  send(callTag | META_BIT | MORE_BIT, 1, whole.subarray(0, 12_000));
  send(callTag | META_BIT, 1, whole.subarray(12_000), 12_000);
  channel.ready();
  t.deepEqual(answers(), [[ERROR, 'ERR_PILLION_TOO_LARGE']]);
  t.deepEqual(ends, []);
});

test('a broadcast whose headers are wrong reaches no listener and is counted', (t) => {
  const pushes = new ClientPushes();
  const format: PushFormat = { name: 'news', kind: 'broadcast', codec: raw, default: undefined };
  pushes.define(0, format);
  const heard: unknown[] = [];
  pushes.listenersOf('news')?.add((payload, { headers }) => heard.push([payload, { ...headers }]));
  for (const bytes of bad) pushes.onBroadcast(format, bytes, true);
  t.is(pushes.broadcastsFailed, bad.length);
  pushes.onBroadcast(format, message({ a: 'b' }, pattern(3)), true);
  pushes.onBroadcast(format, pattern(4), false);
  t.deepEqual(heard, [
    [pattern(3), { a: 'b' }],
    [pattern(4), {}],
  ]);
});
