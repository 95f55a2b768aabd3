import test from 'ava';
import { type CodecName, contract, event, method } from '../../src/index.js';

test('a contract keeps its name and definitions, and cannot be changed', (t) => {
  const definitions = { log: event<string>(), ask: method<number, number>({ codec: 'json', idempotent: true }) };
  const made = contract('a.b_c-1', definitions);
  t.is(made.name, 'a.b_c-1');
  t.deepEqual(made.definitions.log, { kind: 'event', codec: 'msgpack', overflow: 'drop', waitMs: 100, lingerMs: 0 });
  t.deepEqual(made.definitions.ask, { kind: 'method', codec: 'json', idempotent: true });
  t.true(Object.isFrozen(made) && Object.isFrozen(made.definitions));
  (definitions as Record<string, unknown>)['later'] = event();
  t.false('later' in made.definitions);
});

for (const name of ['', '.hidden', '-x', 'a/b', 'a b', 'é', 'x'.repeat(65), '../up', 'a\0b', undefined, 5, null]) {
  test(`a contract cannot be called ${JSON.stringify(name)?.slice(0, 20)}`, (t) => {
    t.throws(() => contract(name as string, {}), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  });
}

for (const name of ['a', 'A9', 'audit.v2', 'x'.repeat(64), '0']) {
  test(`a contract may be called ${name.slice(0, 20)}`, (t) => {
    t.is(contract(name, {}).name, name);
  });
}

test('definitions come from event and method only', (t) => {
  for (const bad of [null, undefined, {}, { kind: 'event ' }, 'event', () => 1]) {
    t.throws(() => contract('c', { x: bad as never }), { code: 'ERR_PILLION_INVALID_ARGUMENT', message: /"x"/ });
  }
});

test('names have 1 to 256 characters, and names of prototypes are names like others', (t) => {
  t.throws(() => contract('c', { '': event() }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  t.throws(() => contract('c', { ['x'.repeat(257)]: event() }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  t.notThrows(() => contract('c', { ['x'.repeat(256)]: event(), toString: event(), constructor: method(), é: event() }));
  const made = contract('c', { ['__proto__']: event() });
  t.deepEqual(Object.keys(made.definitions), ['__proto__']);
});

test('a contract has at most 4,096 names', (t) => {
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`n${index}`, event()]));
  t.notThrows(() => contract('c', many(4096)));
  t.throws(() => contract('c', many(4097)), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
});

test('an unknown codec is refused where it is named', (t) => {
  for (const codec of ['protobuf', 'toString', '', 7, {}, null] as unknown as CodecName[]) {
    t.throws(() => event({ codec }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
    t.throws(() => method({ codec }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  }
});
