import test, { type ExecutionContext } from 'ava';
import { pack, unpack } from 'msgpackr';
import { type CodecName, type PayloadCodec, resolveCodec } from '../../../src/protocol/codec.js';
import { pattern } from '../../helpers/bytes.js';

const msgpack = resolveCodec('msgpack');
const json = resolveCodec('json');
const raw = resolveCodec('raw');

/** The bytes that a value becomes; a copy. */
function encode(codec: PayloadCodec, value: unknown): Uint8Array {
  const { bytes, start, end } = codec.encode(value);
  return new Uint8Array(bytes).slice(start, end);
}

/** Decodes as from a ring: somewhere in a larger block, with a word view. */
function decode(codec: PayloadCodec, bytes: Uint8Array): unknown {
  const buffer = new ArrayBuffer(1024 + Math.ceil(bytes.length / 8) * 8);
  const block = { bytes: new Uint8Array(buffer), words: new Int32Array(buffer) };
  block.bytes.fill(0xee);
  block.bytes.set(bytes, 16);
  const value = codec.decode(block, 16, bytes.length);
  // Whatever the peer does to its memory afterwards must not show.
  block.bytes.fill(0xdd);
  return value;
}

function roundTrip(t: ExecutionContext, codec: PayloadCodec, value: unknown): void {
  t.deepEqual(decode(codec, encode(codec, value)), value);
  t.deepEqual(codec.decodeOwned(encode(codec, value)), value);
}

const plain: unknown[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  127,
  128,
  -128,
  65535,
  65536,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -(2 ** 53),
  0.1,
  -1e300,
  '',
  'a',
  'x'.repeat(31),
  'x'.repeat(32),
  'x'.repeat(255),
  'x'.repeat(70_000),
  'é€😀 日本語',
  '\u0000\u0001',
  [],
  [1, [2, [3, []]]],
  {},
  { a: 1, b: 'two', c: [3], d: { e: null } },
  Array.from({ length: 1000 }, (_, index) => ({ index, text: `item ${index}` })),
];

test('msgpack and json give back plain values', (t) => {
  for (const value of plain) {
    roundTrip(t, msgpack, value);
    roundTrip(t, json, value);
  }
});

test('msgpack gives back dates, bytes, special numbers and 64-bit integers', (t) => {
  for (const value of [new Date(0), new Date('2026-11-22T12:00:00.123Z'), Number.POSITIVE_INFINITY, Number.NaN, 2n ** 63n, -(2n ** 62n)]) {
    roundTrip(t, msgpack, value);
  }
  for (const length of [0, 1, 255, 256, 70_000]) {
    t.deepEqual(new Uint8Array(decode(msgpack, encode(msgpack, pattern(length))) as Uint8Array), pattern(length));
  }
});

test('raw gives back bytes, and bytes alone can be sent', (t) => {
  for (const length of [0, 1, 64, 65, 10_000]) {
    t.deepEqual(new Uint8Array(decode(raw, encode(raw, pattern(length))) as Uint8Array), pattern(length));
    t.deepEqual(new Uint8Array(decode(raw, encode(raw, Buffer.from(pattern(length)))) as Uint8Array), pattern(length));
  }
  for (const value of ['text', 5, null, undefined, [1], new Uint16Array(2), new ArrayBuffer(2)]) {
    t.throws(() => raw.encode(value), { code: 'ERR_PILLION_ENCODE' });
  }
});

test('no value is no bytes', (t) => {
  for (const codec of [msgpack, json]) {
    t.is(encode(codec, undefined).length, 0);
    t.is(decode(codec, new Uint8Array(0)), undefined);
    t.is(codec.decodeOwned(new Uint8Array(0)), undefined);
  }
  t.deepEqual(decode(msgpack, encode(msgpack, { a: undefined })), { a: undefined });
  t.deepEqual(decode(json, encode(json, { a: undefined })), {});
});

test('what a codec cannot send throws, and the next value is unharmed', (t) => {
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  const unsendable: [PayloadCodec, unknown][] = [
    [msgpack, () => 1],
    [msgpack, { deep: [() => 1] }],
    [msgpack, Symbol('x')],
    [msgpack, cycle],
    [json, () => 1],
    [json, Symbol('x')],
    [json, 1n],
    [json, cycle],
  ];
  for (const [codec, value] of unsendable) {
    t.throws(() => codec.encode(value), { code: 'ERR_PILLION_ENCODE' });
    roundTrip(t, codec, { still: 'fine' });
  }
  const bad = {
    get trap(): never {
      throw new TypeError('from a getter');
    },
  };
  for (const codec of [msgpack, json]) {
    const error = t.throws(() => codec.encode(bad), { code: 'ERR_PILLION_ENCODE', message: /from a getter/ });
    t.true(error?.cause instanceof TypeError);
  }
});

test('typed arrays are sent with exactly their bytes, or not at all', (t) => {
  encode(msgpack, 'a secret that was sent before'.repeat(10));
  const views = [
    new Float32Array([1, 2, 3]),
    new Int16Array([1000, -1]),
    new Float64Array(4),
    new BigUint64Array(2),
    new DataView(new ArrayBuffer(9)),
  ];
  for (const view of views) {
    for (const value of [view, { nested: [view] }]) {
      let bytes: Uint8Array;
      try {
        bytes = encode(msgpack, value);
      } catch (error) {
        t.is((error as { code?: string }).code, 'ERR_PILLION_ENCODE');
        continue;
      }
      const content = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
      t.true(Buffer.from(bytes).includes(content), `${view.constructor.name}: ${Buffer.from(bytes).toString('hex')}`);
      t.false(Buffer.from(bytes).toString('latin1').includes('secret'));
    }
  }
});

test('nesting 100,000 levels deep is an error in both directions, not a crash', (t) => {
  let deep: unknown = 1;
  for (let level = 0; level < 100_000; level++) deep = [deep];
  t.throws(() => msgpack.encode(deep), { code: 'ERR_PILLION_ENCODE' });
  roundTrip(t, msgpack, 'fine');
  try {
    // JSON.stringify of newer versions of V8 has no limit, which is as good.
    const text = Buffer.from(encode(json, deep)).toString();
    t.true(text.startsWith('[[[[') && text.length === 200_001);
  } catch (error) {
    t.is((error as { code?: string }).code, 'ERR_PILLION_ENCODE');
  }
  roundTrip(t, json, 'fine');
  const packed = new Uint8Array(100_001).fill(0x91);
  packed[100_000] = 1;
  t.throws(() => decode(msgpack, packed), { code: 'ERR_PILLION_DECODE' });
  t.throws(() => decode(msgpack, Buffer.from('81a161'.repeat(100_000), 'hex')), { code: 'ERR_PILLION_DECODE' });
  t.throws(() => decode(json, Buffer.from('['.repeat(100_000))), { code: 'ERR_PILLION_DECODE' });
  roundTrip(t, msgpack, 'fine');
});

test('lengths of four billion in a few bytes are an error and no allocation', (t) => {
  const before = process.memoryUsage();
  for (const hex of [
    'ddffffffff',
    'ddffffffff01',
    'dfffffffff',
    'dfffffffffa16101',
    'c6ffffffff',
    'dbffffffff',
    'c9ffffffffff',
    'c9ffffffff74',
    '93ddffffffff',
  ]) {
    t.throws(() => decode(msgpack, Buffer.from(hex, 'hex')), { code: 'ERR_PILLION_DECODE' }, hex);
  }
  const after = process.memoryUsage();
  t.true(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers < 100_000_000);
});

test('what is not one value is an error', (t) => {
  for (const hex of ['0102', '92', '9201', '81a161', 'a568', 'd4', 'd469', 'd67000000001', 'd46900', 'c70069', 'd4720101', '8101']) {
    t.throws(() => decode(msgpack, Buffer.from(hex, 'hex')), { code: 'ERR_PILLION_DECODE' }, hex);
  }
  for (const text of ['', ' ', '{', '{"a":1}}', 'undefined', "{'a':1}", '[1,]', 'NaN', '01']) {
    if (text !== '') t.throws(() => decode(json, Buffer.from(text)), { code: 'ERR_PILLION_DECODE' }, text);
  }
  roundTrip(t, msgpack, [1, 2]);
});

test('names of prototypes are names like others, and no prototype changes', (t) => {
  const before = Object.getOwnPropertyNames(Object.prototype).join();
  const hostile = '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}, "a": 1}';
  const fromJson = decode(json, Buffer.from(hostile)) as Record<string, unknown>;
  t.is(fromJson['a'], 1);
  t.is(Object.getPrototypeOf(fromJson), Object.prototype);
  // 83 entries: "__proto__" -> {polluted: 1}, "constructor" -> 1, "a" -> 1
  const packed = Buffer.concat([
    Buffer.from('83a9', 'hex'),
    Buffer.from('__proto__'),
    Buffer.from('81a8', 'hex'),
    Buffer.from('polluted'),
    Buffer.from('01ab', 'hex'),
    Buffer.from('constructor'),
    Buffer.from('01a16101', 'hex'),
  ]);
  for (const value of [decode(msgpack, packed), msgpack.decodeOwned(packed)] as Record<string, unknown>[]) {
    t.is(value['a'], 1);
    t.is(Object.getPrototypeOf(value), Object.prototype);
    t.is(value['polluted'], undefined);
  }
  t.is(({} as Record<string, unknown>)['polluted'], undefined);
  t.is(Object.getOwnPropertyNames(Object.prototype).join(), before);
});

test('overlong and broken UTF-8 never becomes the character that it pretends to be', (t) => {
  for (const bytes of ['c0af', 'e080af', 'f08080af', 'c0ae', 'ff', 'c3', 'eda080', 'f8808080af']) {
    const text = Buffer.from(bytes, 'hex');
    t.throws(() => decode(json, Buffer.concat([Buffer.from('"'), text, Buffer.from('"')])), { code: 'ERR_PILLION_DECODE' }, bytes);
    for (const repeat of [1, 3, 5, 20]) {
      const long = Buffer.concat(Array(repeat).fill(text));
      let value: unknown;
      try {
        value = decode(msgpack, Buffer.concat([Buffer.from([0xd9, long.length]), long]));
      } catch (error) {
        t.is((error as { code?: string }).code, 'ERR_PILLION_DECODE');
        continue;
      }
      t.regex(value as string, /^\ufffd+$/, `${bytes} x ${repeat}`);
    }
  }
});

test('decoded bytes are private, and encoded bytes survive until the next encode', (t) => {
  const first = decode(msgpack, encode(msgpack, { blob: pattern(100) })) as { blob: Uint8Array };
  decode(msgpack, encode(msgpack, { blob: new Uint8Array(100).fill(7) }));
  t.deepEqual(new Uint8Array(first.blob), pattern(100));
  const kept = decode(raw, pattern(1000)) as Uint8Array;
  decode(raw, new Uint8Array(1000));
  t.deepEqual(new Uint8Array(kept), pattern(1000));
});

test('the scratch block grows for large values, and small ones afterwards are unharmed', (t) => {
  const sizes = [10, 65_000, 65_536, 70_000, 1_000_000, 5_000_000, 10, 70_000, 3];
  for (const codec of [msgpack, json]) {
    for (const size of sizes) {
      const value = { text: 'é'.repeat(size / 2), tail: size };
      const decoded = decode(codec, encode(codec, value)) as typeof value;
      t.is(decoded.text.length, value.text.length);
      t.is(decoded.text, value.text);
      t.is(decoded.tail, size);
    }
  }
});

test("other users of msgpackr's pack do not disturb, and are not disturbed", (t) => {
  const value = { mine: 'a'.repeat(100), list: [1, 2, 3] };
  for (let round = 0; round < 20; round++) {
    const theirs = pack({ theirs: 'b'.repeat(5000 * (round + 1)) });
    const copy = Buffer.from(theirs);
    const encoded = msgpack.encode(value);
    // Copied at once, as the session does: the next pack() by anybody may use the place again.
    const ours = Buffer.from(encoded.bytes.subarray(encoded.start, encoded.end));
    const others = pack({ others: round });
    t.deepEqual(unpack(others), { others: round });
    t.deepEqual(unpack(ours), value);
    t.deepEqual(theirs, copy);
    roundTrip(t, msgpack, value);
  }
});

test('msgpack is what any MessagePack implementation reads', (t) => {
  for (const value of plain) t.deepEqual(unpack(Buffer.from(encode(msgpack, value))), value);
  t.deepEqual([...encode(msgpack, 'hi')], [0xa2, 0x68, 0x69]);
  t.deepEqual([...encode(msgpack, [1, null, true])], [0x93, 1, 0xc0, 0xc3]);
  const map = [...encode(msgpack, { n: 1 })];
  t.deepEqual(map.slice(-3), [0xa1, 0x6e, 1]);
});

test("a codec of one's own is called with private bytes, and its errors keep their cause", (t) => {
  const seen: Uint8Array[] = [];
  const own = resolveCodec({
    name: 'own',
    encode: (value) => Buffer.from(String(value)),
    decode: (bytes) => {
      seen.push(bytes);
      return Buffer.from(bytes).toString();
    },
  });
  t.is(decode(own, encode(own, 'hello')), 'hello');
  t.deepEqual([...(seen[0] as Uint8Array)], [...Buffer.from('hello')]);
  const failing = resolveCodec({
    name: 'failing',
    encode: () => {
      throw new RangeError('cannot');
    },
    decode: () => {
      throw new RangeError('cannot either');
    },
  });
  t.true(t.throws(() => failing.encode(1), { code: 'ERR_PILLION_ENCODE', message: /failing.*cannot/ })?.cause instanceof RangeError);
  t.true(t.throws(() => decode(failing, pattern(1)), { code: 'ERR_PILLION_DECODE' })?.cause instanceof RangeError);
  const wrong = resolveCodec({ name: 'wrong', encode: () => 'text' as unknown as Uint8Array, decode: () => 1 });
  t.throws(() => wrong.encode(1), { code: 'ERR_PILLION_ENCODE' });
});

test('only known names and whole codecs are accepted, and built-in names are taken', (t) => {
  const whole = { name: 'x', encode: () => new Uint8Array(0), decode: () => 1 };
  t.notThrows(() => resolveCodec(whole));
  for (const bad of [
    'toString',
    'protobuf',
    '',
    null,
    5,
    {},
    { ...whole, name: '' },
    { ...whole, name: 'json' },
    { ...whole, name: 'x'.repeat(257) },
    { ...whole, encode: undefined },
    { ...whole, decode: 1 },
  ]) {
    t.throws(() => resolveCodec(bad as unknown as CodecName), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  }
});
