import test from 'ava';
import {
  chooseVersion,
  encodeHandshake,
  HANDSHAKE_HEADER_BYTES,
  HELLO,
  type Hello,
  parseHandshakeHeader,
  parseHello,
  parseRefusal,
  parseWelcome,
  REFUSE,
  WELCOME,
} from '../../../src/protocol/handshake.js';
import { bytesOf, type HandshakeVectors, vectors } from '../../helpers/vectors.js';

const { messages } = vectors<HandshakeVectors>('handshake');

for (const vector of messages) {
  const { message, lowest, highest, bodyBytes } = vector.fields;
  const bytes = bytesOf(vector.bytes);

  test(`parses the golden handshake: ${vector.name}`, (t) => {
    const header = parseHandshakeHeader(bytes.subarray(0, HANDSHAKE_HEADER_BYTES));
    t.deepEqual(header, { message, versionMin: lowest, versionMax: highest, bodyLength: bodyBytes });
    if (message !== REFUSE) t.is(chooseVersion(header), 1);
    const body = bytes.subarray(HANDSHAKE_HEADER_BYTES);
    t.is(body.length, bodyBytes);
    const parse = { [HELLO]: parseHello, [WELCOME]: parseWelcome, [REFUSE]: parseRefusal }[message] as (body: Buffer) => object;
    const parsed = parse(body) as Record<string, unknown>;
    // Fields that this version does not know are dropped; a takeover that is not asked for is false.
    for (const [name, value] of Object.entries(parsed)) t.deepEqual(value, vector.body[name] ?? false, name);
    if (message === HELLO) t.is((parsed as unknown as Hello).takeover, vector.body['takeover'] === true);
  });

  test(`encodes the golden handshake: ${vector.name}`, (t) => {
    const encoded = encodeHandshake(message, vector.body as unknown as Hello, lowest === highest ? lowest : undefined);
    const golden = lowest === highest ? bytes : Buffer.concat([encoded.subarray(0, 12), bytes.subarray(12)]);
    t.is(encoded.toString('hex'), golden.toString('hex'));
  });
}
