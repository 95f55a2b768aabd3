import test from 'ava';
import fc from 'fast-check';
import { resolveCodec } from '../../../src/protocol/codec.js';
import {
  behindHeaders,
  encodeHeaders,
  HeaderCodec,
  MAX_HEADER_BYTES,
  NO_HEADERS,
  ownHeaders,
  readHeaders,
} from '../../../src/protocol/headers.js';

const raw = resolveCodec('raw');
const block = (bytes: Uint8Array) => ({ bytes, words: null });

/** A message with these bytes as its header block, whatever they are. */
function message(json: Uint8Array | string, { length = Buffer.byteLength(json), value = '' } = {}): Uint8Array {
  const bytes = Buffer.alloc(((4 + Buffer.byteLength(json) + 7) & ~7) + value.length);
  bytes.writeUInt32LE(length);
  bytes.set(Buffer.from(json), 4);
  bytes.write(value, bytes.length - value.length);
  return bytes;
}

test('headers come before the value: length, JSON, padding to 8', (t) => {
  const { bytes, start, end } = behindHeaders(encodeHeaders({ a: 'b' }) as Uint8Array, raw.encode(Buffer.from('value')));
  t.is(
    Buffer.from(bytes.subarray(start, end)).toString('hex'),
    `${'09000000'}${Buffer.from('{"a":"b"}').toString('hex')}000000${Buffer.from('value').toString('hex')}`,
  );
});

test('what was put before a value is what comes out, and where the value begins', (t) => {
  const strings = fc.string({ unit: 'grapheme', maxLength: 50 });
  const values = fc.uint8Array({ maxLength: 100 });
  fc.assert(
    fc.property(fc.array(fc.tuple(strings, strings), { minLength: 1, maxLength: 10 }), values, fc.nat(3), (entries, value, at) => {
      const headers = Object.fromEntries(entries);
      const encoded = new HeaderCodec(raw, encodeHeaders(headers) as Uint8Array).encode(value);
      const shifted = Buffer.concat([Buffer.alloc(at * 8), encoded.bytes.subarray(encoded.start, encoded.end)]);
      const read = readHeaders(block(shifted), at * 8, shifted.length - at * 8);
      t.deepEqual({ ...read.headers }, headers);
      t.deepEqual(new Uint8Array(shifted.subarray(at * 8 + read.valueOffset)), value);
    }),
  );
});

test('no headers are none, in whatever form', (t) => {
  t.is(encodeHeaders(undefined), null);
  t.is(encodeHeaders({}), null);
  t.is(encodeHeaders(Object.create(null)), null);
  t.true(Object.isFrozen(NO_HEADERS));
  t.is(Object.getPrototypeOf(NO_HEADERS), null);
  t.deepEqual(Object.keys(readHeaders(block(message('{}')), 0, 8).headers), []);
});

test('names are names, also __proto__, constructor and the empty one', (t) => {
  const odd = JSON.parse('{"__proto__":"p","constructor":"c","":"e","toJSON":"j"}');
  const { headers } = readHeaders(block(encodeHeaders(odd) as Uint8Array), 0, (encodeHeaders(odd) as Uint8Array).length);
  t.deepEqual(Object.keys(headers), ['__proto__', 'constructor', '', 'toJSON']);
  t.is(Object.getPrototypeOf(headers), null);
  t.is(Object.values(headers)[0], 'p');
  t.is(({} as Record<string, unknown>)['p'], undefined);
  t.throws(() => {
    (headers as Record<string, string>)['new'] = 'x';
  });
});

for (const [what, headers, pattern] of [
  ['a number', { a: 1 }, /header "a" is of type number/],
  ['undefined', { a: undefined }, /header "a" is of type undefined/],
  ['null', { a: null }, /header "a" is of type null/],
  ['a list', { a: ['b'] }, /header "a" is of type object/],
  ['a String object', { a: new String('b') }, /header "a"/],
] as const) {
  test(`a header that is ${what} is refused by its name`, (t) => {
    t.throws(() => encodeHeaders(headers as never), { code: 'ERR_PILLION_INVALID_ARGUMENT', message: pattern });
  });
}

for (const [what, headers] of [
  ['null', null],
  ['text', 'a: b'],
  ['a list', ['a']],
  ['a Map', new Map([['a', 'b']])],
  ['Headers of fetch', new Headers({ a: 'b' })],
  ['a function', () => {}],
] as const) {
  test(`headers that are ${what} are refused, not lost`, (t) => {
    t.throws(() => ownHeaders(headers), { code: 'ERR_PILLION_INVALID_ARGUMENT', message: /a plain object of strings/ });
  });
}

test('the limit counts bytes, not characters, and is exact', (t) => {
  const empty = '{"a":""}'.length;
  t.is(encodeHeaders({ a: 'x'.repeat(MAX_HEADER_BYTES - empty) })?.length, MAX_HEADER_BYTES + 8);
  t.throws(() => encodeHeaders({ a: 'x'.repeat(MAX_HEADER_BYTES - empty + 1) }), {
    code: 'ERR_PILLION_TOO_LARGE',
    message: /8193 bytes.*8192/,
  });
  t.throws(() => encodeHeaders({ a: 'é'.repeat(MAX_HEADER_BYTES / 2) }), { code: 'ERR_PILLION_TOO_LARGE' });
});

for (const [what, bytes] of [
  ['is empty', new Uint8Array(0)],
  ['has half a length', new Uint8Array(3)],
  ['claims more headers than it has bytes', message('{}', { length: 5 })],
  ['has headers without their padding', message('{"a":"b"}').subarray(0, 13)],
  ['claims 8,193 bytes of headers', message(`{"a":"${'x'.repeat(8193 - 8)}"}`)],
  ['claims 4 GiB of headers', message('{}', { length: 0xffffffff })],
  ['claims 2 GiB of headers', message('{}', { length: 0x80000000 })],
  ['has no JSON', message('{a:1}')],
  ['has half a JSON', message('{"a":')],
  ['has headers of no bytes', message('')],
  ['has a list', message('["a"]')],
  ['has null', message('null')],
  ['has a number', message('5')],
  ['has a header that is a number', message('{"a":1}')],
  ['has a header that is an object', message('{"a":{}}')],
  ['has bytes that are no UTF-8', message(Buffer.from('7b2261223a22ff227d', 'hex'))],
  ['has a byte order mark', message('\ufeff{}')],
] as const) {
  test(`a message that ${what} cannot be decoded`, (t) => {
    t.throws(() => readHeaders(block(bytes), 0, bytes.length), { code: 'ERR_PILLION_DECODE' });
  });
}

test('a codec behind headers decodes like the one that it was made of', (t) => {
  const codec = new HeaderCodec(resolveCodec('json'), encodeHeaders({ a: 'b' }) as Uint8Array);
  t.is(codec.name, 'json');
  t.is(codec.decodeOwned(Buffer.from('5')), 5);
  t.is(codec.decode(block(Buffer.from('.5')), 1, 1), 5);
});
