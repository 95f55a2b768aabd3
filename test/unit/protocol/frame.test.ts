import test from 'ava';
import { ProtocolError } from '../../../src/errors.js';
import { checkControlLength, checkTag, flagsOf, kindOf, nameOfKind, tagOf, targetOf } from '../../../src/protocol/frame.js';

/** docs/protocol.md, section 3: kinds and the flags that they may carry, by sender. */
const allowed = {
  client: new Map([
    [1, 0b1111],
    [2, 0b011],
    [4, 0b001],
    [5, 0],
    [6, 0b001],
    [7, 0],
    [8, 0],
    [10, 0],
    [11, 0],
  ]),
  server: new Map([
    [1, 0b011],
    [3, 0b001],
    [4, 0b001],
    [5, 0],
    [6, 0b001],
    [7, 0],
    [8, 0],
    [9, 0b001],
    [10, 0],
    [11, 0],
    [12, 0],
  ]),
};

for (const sender of ['client', 'server'] as const) {
  test(`of all kinds and flags a ${sender} may send exactly those of the protocol`, (t) => {
    const wrong: string[] = [];
    for (let kind = 0; kind < 256; kind++) {
      for (let flags = 0; flags < 256; flags++) {
        const mask = allowed[sender].get(kind);
        const isAllowed = mask !== undefined && (flags & ~mask) === 0;
        let error: unknown = null;
        try {
          checkTag(tagOf(kind, flags, 0), sender);
        } catch (thrown) {
          error = thrown;
        }
        if (isAllowed ? error !== null : !(error instanceof ProtocolError)) {
          wrong.push(`kind=${kind} flags=${flags}: ${error}`);
        }
      }
    }
    t.deepEqual(wrong, []);
  });
}

test('only frames that are for a name may have a target', (t) => {
  for (const target of [1, 4095, 65535]) {
    for (const kind of [1, 2]) t.notThrows(() => checkTag(tagOf(kind, 0, target), 'client'));
    for (const kind of [1, 9]) t.notThrows(() => checkTag(tagOf(kind, 0, target), 'server'));
    for (const kind of [4, 5, 6, 7, 8, 10, 11]) t.throws(() => checkTag(tagOf(kind, 0, target), 'client'), { instanceOf: ProtocolError });
    for (const kind of [3, 4, 5, 6, 7, 8, 10, 11, 12])
      t.throws(() => checkTag(tagOf(kind, 0, target), 'server'), { instanceOf: ProtocolError });
  }
});

test('a tag gives back what went into it', (t) => {
  for (const kind of [0, 1, 12, 255]) {
    for (const flags of [0, 1, 128, 255]) {
      for (const target of [0, 1, 0x7fff, 0x8000, 0xffff]) {
        const tag = tagOf(kind, flags, target);
        t.deepEqual([kindOf(tag), flagsOf(tag), targetOf(tag)], [kind, flags, target]);
        const fromRing = tag | 0;
        t.deepEqual([kindOf(fromRing), flagsOf(fromRing), targetOf(fromRing)], [kind, flags, target]);
      }
    }
  }
});

test('frames that carry no message carry no payload, but for a short one of PING and PONG', (t) => {
  for (const kind of [5, 7, 8, 12]) {
    t.notThrows(() => checkControlLength(tagOf(kind, 0, 0), 0));
    t.throws(() => checkControlLength(tagOf(kind, 0, 0), 1), { instanceOf: ProtocolError });
  }
  for (const kind of [10, 11]) {
    t.notThrows(() => checkControlLength(tagOf(kind, 0, 0), 1008));
    t.throws(() => checkControlLength(tagOf(kind, 0, 0), 1025), { instanceOf: ProtocolError });
  }
});

test('kinds have names in error messages', (t) => {
  t.is(nameOfKind(1), 'EVENT');
  t.is(nameOfKind(12), 'GOODBYE');
  t.is(nameOfKind(200), '200');
});
