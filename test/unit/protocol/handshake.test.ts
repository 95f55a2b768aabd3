import test from 'ava';
import { PillionError } from '../../../src/errors.js';
import {
  chooseVersion,
  encodeHandshake,
  HELLO,
  type Hello,
  isRingCapacity,
  parseHandshakeHeader,
  parseHello,
  parseRefusal,
  parseWelcome,
} from '../../../src/protocol/handshake.js';

const hello: Hello = {
  contract: 'audit',
  clientId: 'c1',
  names: [{ name: 'log', kind: 'event', codec: 'msgpack' }],
  transports: ['shm', 'socket'],
  ringBytes: [4096, 8192],
  maxMessageBytes: 1024,
  features: [],
  pid: 1,
  runtime: 'node',
};
const welcome = {
  contract: 'audit',
  transport: 'shm',
  names: [],
  maxMessageBytes: 1,
  features: [],
  serverId: 's',
  pid: 1,
  runtime: '',
};

const body = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

test('what is encoded parses to the same', (t) => {
  const bytes = encodeHandshake(HELLO, hello);
  const header = parseHandshakeHeader(bytes);
  t.deepEqual(header, { message: HELLO, versionMin: 1, versionMax: 1, bodyLength: bytes.length - 16 });
  t.deepEqual(parseHello(bytes.subarray(16)), { ...hello, takeover: false });
});

test('unknown fields are ignored, also in the name table', (t) => {
  const parsed = parseHello(body({ ...hello, news: [1], names: [{ ...hello.names[0], since: 2 }] }));
  t.deepEqual(parsed, { ...hello, takeover: false });
});

test('names of a later kind keep their place in the table', (t) => {
  const parsed = parseHello(body({ ...hello, names: [{ name: 'tail', kind: 'stream', codec: 'json' }, ...hello.names] }));
  t.is(parsed.names.length, 2);
  t.deepEqual(parsed.names[1], hello.names[0]);
  t.is(parsed.names[0]?.kind, 'stream' as string);
});

test('transports that this version does not know are dropped', (t) => {
  t.deepEqual(parseHello(body({ ...hello, transports: ['rdma', 'socket'] })).transports, ['socket']);
});

const badHellos: [string, unknown][] = [
  ['not an object', 5],
  ['null', null],
  ['an array', []],
  ['a string', 'HELLO'],
  ...Object.keys(hello).map((name): [string, unknown] => [`no ${name}`, { ...hello, [name]: undefined }]),
  ['clientId empty', { ...hello, clientId: '' }],
  ['clientId of 65 characters', { ...hello, clientId: 'x'.repeat(65) }],
  ['contract not a string', { ...hello, contract: { toString: 'x' } }],
  ['contract endless', { ...hello, contract: 'x'.repeat(300) }],
  ['names not an array', { ...hello, names: { 0: {} } }],
  ['names with null', { ...hello, names: [null] }],
  ['names with numbers', { ...hello, names: [5] }],
  ['an empty name', { ...hello, names: [{ name: '', kind: 'event', codec: 'json' }] }],
  ['a name of 257 characters', { ...hello, names: [{ name: 'x'.repeat(257), kind: 'event', codec: 'json' }] }],
  ['a name without codec', { ...hello, names: [{ name: 'x', kind: 'event' }] }],
  ['one ring', { ...hello, ringBytes: [4096] }],
  ['three rings', { ...hello, ringBytes: [4096, 4096, 4096] }],
  ['a ring that is no power of two', { ...hello, ringBytes: [4096, 5000] }],
  ['a small ring', { ...hello, ringBytes: [2048, 4096] }],
  ['a huge ring', { ...hello, ringBytes: [2 ** 31, 4096] }],
  ['a ring as text', { ...hello, ringBytes: ['4096', 4096] }],
  ['transports as text', { ...hello, transports: 'shm' }],
  ['transports with numbers', { ...hello, transports: [1] }],
  ['endless transports', { ...hello, transports: Array(65).fill('x') }],
  ['endless features', { ...hello, features: Array(65).fill('x') }],
  ['negative maxMessageBytes', { ...hello, maxMessageBytes: -1 }],
  ['maxMessageBytes of a half', { ...hello, maxMessageBytes: 0.5 }],
  ['a pid as text', { ...hello, pid: '1' }],
];

for (const [what, value] of badHellos) {
  test(`a HELLO is refused: ${what}`, (t) => {
    const error = t.throws(() => parseHello(body(value)), { instanceOf: PillionError });
    t.is(error?.code, 'ERR_PILLION_PROTOCOL');
  });
}

for (const [what, value] of [
  ['an unknown transport', { ...welcome, transport: 'pigeon' }],
  ...Object.keys(welcome).map((name) => [`no ${name}`, { ...welcome, [name]: undefined }]),
] as [string, unknown][]) {
  test(`a WELCOME is refused: ${what}`, (t) => {
    t.throws(() => parseWelcome(body(value)), { code: 'ERR_PILLION_PROTOCOL' });
  });
}

test('bodies that are not JSON are refused', (t) => {
  for (const bytes of [Buffer.alloc(0), Buffer.from('{'), Buffer.from('{"a":1}x'), Buffer.from([0xff, 0xfe, 0x00]), Buffer.alloc(100)]) {
    for (const parse of [parseHello, parseWelcome, parseRefusal]) t.throws(() => parse(bytes), { code: 'ERR_PILLION_PROTOCOL' });
  }
  t.throws(() => parseHello(Buffer.from('['.repeat(60_000))), { code: 'ERR_PILLION_PROTOCOL' });
});

test('prototypes cannot be reached through a body', (t) => {
  const bytes = Buffer.from(`{"__proto__": {"polluted": true}, ${JSON.stringify(hello).slice(1)}`);
  t.false('polluted' in parseHello(bytes));
  t.false('polluted' in {});
});

test('a header is refused for its magic, its reserved fields, and a body longer than allowed', (t) => {
  const good = encodeHandshake(HELLO, hello);
  const poke = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes[at] = value;
    return bytes;
  };
  for (const bytes of [poke(0, 0), poke(3, 0x4f), poke(5, 1), poke(10, 1), poke(11, 1), poke(14, 2), poke(15, 0xff)]) {
    t.throws(() => parseHandshakeHeader(bytes), { code: 'ERR_PILLION_PROTOCOL' });
  }
  t.throws(() => parseHandshakeHeader(Buffer.from('GET / HTTP/1.1\r\n')), { code: 'ERR_PILLION_PROTOCOL' });
});

test('a body of 64 KiB is the longest', (t) => {
  const bytes = encodeHandshake(HELLO, hello);
  bytes.writeUInt32LE(65536, 12);
  t.is(parseHandshakeHeader(bytes).bodyLength, 65536);
  bytes.writeUInt32LE(65537, 12);
  t.throws(() => parseHandshakeHeader(bytes), { code: 'ERR_PILLION_PROTOCOL' });
  const names = Array.from({ length: 2000 }, (_, index) => ({ name: `name-${index}`, kind: 'event' as const, codec: 'msgpack' }));
  t.throws(() => encodeHandshake(HELLO, { ...hello, names }), { code: 'ERR_PILLION_TOO_LARGE' });
});

test('the highest version that both sides know is chosen, or both ranges are named', (t) => {
  const header = { message: HELLO, bodyLength: 0 };
  t.is(chooseVersion({ ...header, versionMin: 1, versionMax: 1 }), 1);
  t.is(chooseVersion({ ...header, versionMin: 0, versionMax: 65535 }), 1);
  for (const [versionMin, versionMax] of [
    [2, 9],
    [0, 0],
    [3, 2],
  ] as const) {
    t.throws(() => chooseVersion({ ...header, versionMin, versionMax }), {
      code: 'ERR_PILLION_VERSION',
      message: new RegExp(`${versionMin}.*${versionMax}`),
    });
  }
});

test('ring capacities are powers of two from 4 KiB to 1 GiB', (t) => {
  for (let exponent = 0; exponent < 40; exponent++) {
    t.is(isRingCapacity(2 ** exponent), exponent >= 12 && exponent <= 30, `2^${exponent}`);
    t.false(isRingCapacity(2 ** exponent + 1));
  }
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -4096, 4096.5, '4096', null, undefined, [4096]])
    t.false(isRingCapacity(value));
});
