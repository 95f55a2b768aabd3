import test from 'ava';
import { z } from 'zod';
import { broadcast, duplex, event, method, state, stream, upload } from '../../src/index.js';
import { resolveCodec } from '../../src/protocol/codec.js';
import { checkedDecoding, checkedSchema, checkOf, type StandardSchema } from '../../src/validation.js';

/** A schema whose `validate` is this. */
const schema = (validate: (value: unknown) => unknown): StandardSchema =>
  ({ '~standard': { version: 1, vendor: 'test', validate } }) as StandardSchema;

const messageOf = (check: ReturnType<typeof checkOf>, value: unknown): string => {
  try {
    check?.(value);
  } catch (error) {
    if ((error as { code: string }).code !== 'ERR_PILLION_VALIDATION') throw error;
    return (error as Error).message;
  }
  return 'accepted';
};

test('what a schema makes of a value is what the receiver gets', (t) => {
  const check = checkOf(z.object({ n: z.coerce.number(), level: z.string().default('info') }), '"log"');
  t.deepEqual(check?.({ n: '5', more: true }), { n: 5, level: 'info' });
});

test('an error names the value and where in it something is wrong', (t) => {
  const check = checkOf(z.object({ token: z.string(), list: z.array(z.object({ 'odd.key': z.number() })) }), '"verify"');
  t.regex(messageOf(check, { token: 5, list: [] }), /^"verify": token: .*expected string/);
  t.regex(messageOf(check, { token: 'x', list: [{ 'odd.key': 1 }, {}] }), /^"verify": list\[1\]\.odd\.key: .*expected number/);
  t.regex(messageOf(check, null), /^"verify": Invalid input: expected object/);
});

test('path steps may be keys, numbers, symbols and objects with a key', (t) => {
  const issues = [{ message: 'bad', path: ['a', 0, { key: 'b' }, { key: 1 }, Symbol('s')] }];
  t.is(
    messageOf(
      checkOf(
        schema(() => ({ issues })),
        '"x"',
      ),
      1,
    ),
    '"x": a[0].b[1].Symbol(s): bad',
  );
});

test('of many issues a few are named and the rest is counted', (t) => {
  const check = checkOf(z.array(z.string()), '"x"');
  t.regex(
    messageOf(
      check,
      Array.from({ length: 1000 }, (_, n) => n),
    ),
    /^"x": \[0\]: [^;]+; \[1\]: [^;]+; \[2\]: [^;]+; and 997 more$/,
  );
  const long = { message: 'm'.repeat(10_000), path: ['p'.repeat(10_000)] };
  t.is(
    messageOf(
      checkOf(
        schema(() => ({ issues: [long] })),
        '"x"',
      ),
      1,
    ).length,
    '"x": : '.length + 1000,
  );
});

for (const [what, validate, expected] of [
  ['throws', () => assert('boom'), '"x": its schema failed: boom'],
  ['throws nothing', () => assert(null), '"x": its schema failed: null'],
  ['answers with nothing', () => undefined, /^"x": its schema answered with nonsense/],
  ['answers with issues that are none', () => ({ issues: 5 }), /^"x": its schema answered with nonsense/],
  ['answers with null issues', () => ({ issues: [null] }), /^"x": its schema answered with nonsense/],
  ['fails without issues', () => ({ issues: [] }), '"x": not accepted by its schema'],
] as const) {
  test(`a schema that ${what} fails its value`, (t) => {
    const message = messageOf(checkOf(schema(validate), '"x"'), 1);
    if (typeof expected === 'string') t.is(message, expected);
    else t.regex(message, expected);
  });
}

function assert(thrown: unknown): never {
  throw thrown === null ? null : new Error(String(thrown));
}

test('a getter of a result is read as any value', (t) => {
  const throwing = schema(() => ({
    get issues() {
      return assert('a getter');
    },
  }));
  t.regex(messageOf(checkOf(throwing, '"x"'), 1), /a getter/);
});

const asynchronous = schema(async (value) => ({ value }));
const rejecting = schema(() => Promise.reject(new Error('later')));

test('an asynchronous schema is refused where it is given, by the name of its option', (t) => {
  const code = 'ERR_PILLION_INVALID_ARGUMENT';
  const none = schema((value) => ({ value }));
  for (const bad of [asynchronous, rejecting, z.any().refine(async () => true)]) {
    t.throws(() => event({ schema: bad }), { code, message: /^schema is an asynchronous schema/ });
    t.throws(() => method({ input: bad }), { code, message: /^input / });
    t.throws(() => method({ input: none, output: bad }), { code, message: /^output / });
    t.throws(() => stream({ item: bad }), { code, message: /^item / });
    t.throws(() => upload({ item: bad }), { code, message: /^item / });
    t.throws(() => duplex({ output: bad }), { code, message: /^output / });
    t.throws(() => state({ schema: bad }), { code, message: /^schema / });
    t.throws(() => broadcast({ schema: bad }), { code, message: /^schema / });
  }
});

test('a schema that becomes asynchronous later fails that value, and its promise harms nobody', async (t) => {
  for (const late of [asynchronous, rejecting]) {
    const check = checkOf(
      schema((value) => (value === undefined ? { value } : late['~standard'].validate(value))),
      '"x"',
    );
    t.is(messageOf(check, 1), '"x": its schema answered with a promise, but values are checked while they are received');
  }
  await new Promise((resolve) => setImmediate(resolve));
});

test('what is no Standard Schema is refused', (t) => {
  const validate = (value: unknown) => ({ value });
  for (const bad of [null, 5, 'x', {}, { '~standard': null }, { '~standard': { version: 2, validate } }, { '~standard': { version: 1 } }]) {
    t.throws(() => checkedSchema('input', bad), { code: 'ERR_PILLION_INVALID_ARGUMENT', message: /^input is not a Standard Schema/ });
  }
  t.notThrows(() =>
    checkedSchema(
      'input',
      Object.assign(() => {}, { '~standard': { version: 1, vendor: 'x', validate } }),
    ),
  );
  t.notThrows(() =>
    checkedSchema(
      'input',
      schema(() => assert('the probe')),
    ),
  );
});

test('a codec that checks decodes like the one behind it, and encodes without a look', (t) => {
  const codec = resolveCodec('json');
  const checked = checkedDecoding(codec, checkOf(z.number(), '"x"'));
  t.is(checked.name, 'json');
  t.deepEqual(checked.encode('no number'), codec.encode('no number'));
  const block = { bytes: Buffer.from('..57'), words: null };
  t.is(checked.decode(block, 2, 2), 57);
  t.is(checked.decodeOwned(Buffer.from('7')), 7);
  t.throws(() => checked.decodeOwned(Buffer.from('"x"')), { code: 'ERR_PILLION_VALIDATION' });
  t.is(checkedDecoding(codec, undefined), codec);
});
