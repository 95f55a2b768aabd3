import { randomFill } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import test from 'ava';
import { ringsOfSegment } from '../../../src/ring/memory.js';
import { pattern } from '../../helpers/bytes.js';
import { resources } from '../../helpers/resources.js';
import { theAddon } from '../../helpers/shared-segment.js';
import { socketPath } from '../../helpers/socket-path.js';

const { Segment } = theAddon();

/** A second descriptor of the same memory; `map` takes its own away. */
function reopen(descriptor: number): number {
  return openSync(`/proc/self/fd/${descriptor}`, 'r+');
}

test.serial('both mappings of a ring show the same bytes, also across its end', (t) => {
  const segment = Segment.create(4096, 8192);
  for (const [index, { bytes, capacity }] of ringsOfSegment(segment.buffer, segment.headerBytes, segment.capacities).entries()) {
    t.is(bytes.length, 2 * capacity);
    for (const start of [0, 1, capacity - 100, capacity - 1, capacity, capacity + 5]) {
      const record = pattern(200, start + index);
      bytes.set(record, start);
      for (let at = 0; at < record.length; at++) {
        const position = (start + at) % capacity;
        if (bytes[position] !== record[at] || bytes[position + capacity] !== record[at])
          return t.fail(`ring ${index}, start ${start}, byte ${at}`);
      }
    }
  }
  segment.close();
  t.pass();
});

test.serial('two mappings of one segment are one memory, with the rings in the same places', (t) => {
  const created = Segment.create(4096, 16_384);
  const mapped = Segment.map(reopen(created.descriptor), 65_536);
  t.deepEqual(mapped.capacities, [4096, 16_384]);
  t.is(mapped.headerBytes, created.headerBytes);
  const [here, there] = [created, mapped].map(({ buffer, headerBytes, capacities }) => ringsOfSegment(buffer, headerBytes, capacities));
  for (const ring of [0, 1] as const) {
    const [a, b] = [here?.[ring], there?.[ring]] as [NonNullable<typeof here>[0], NonNullable<typeof here>[0]];
    a.bytes.set(pattern(300, ring), a.capacity - 150);
    t.deepEqual(b.bytes.slice(b.capacity - 150, b.capacity + 150), pattern(300, ring));
    for (let word = 0; word < 4; word++) a.control[word * 32] = 1000 * ring + word;
    t.deepEqual(
      [0, 1, 2, 3].map((word) => b.control[word * 32]),
      [0, 1, 2, 3].map((word) => 1000 * ring + word),
    );
  }
  created.close();
  mapped.close();
});

test.serial('a fresh segment is zero, but for the words that describe it', (t) => {
  const segment = Segment.create(4096, 4096);
  t.true(new Uint8Array(segment.buffer, 32).every((byte) => byte === 0));
  t.is(segment.arena, undefined);
  segment.close();
});

test.serial('two mappings of an arena are one memory behind the rings, zero at first', (t) => {
  const created = Segment.create(4096, 8192, 20_480);
  const mapped = Segment.map(reopen(created.descriptor), 8192, 20_480);
  const [here, there] = [created, mapped].map(({ arena }) => new Uint8Array(arena as ArrayBuffer)) as [Uint8Array, Uint8Array];
  t.deepEqual([here.length, there.length], [20_480, 20_480]);
  t.true(here.every((byte) => byte === 0));
  here.set(pattern(20_480, 1));
  t.deepEqual(there, pattern(20_480, 1));
  t.true(new Uint8Array(created.buffer, 40).every((byte) => byte === 0));
  created.close();
  mapped.close();
});

test.serial('an arena may outlive the rings, and its views have length 0 when it is closed', (t) => {
  const before = resources();
  const segment = Segment.create(4096, 4096, 4096);
  const view = new Uint8Array(segment.arena as ArrayBuffer, 64, 100);
  segment.closeRings();
  segment.closeRings();
  t.is(segment.buffer as ArrayBuffer | undefined, undefined);
  view.fill(7);
  t.is(view[99], 7);
  t.is(resources().memfds, before.memfds);
  segment.close();
  segment.close();
  t.is(view.length, 0);
  view[99] = 8;
  t.false(99 in view);
  t.throws(() => view.fill(8), { instanceOf: TypeError });
  t.deepEqual(resources(), before);
});

test.serial('a thread that still writes to a closed arena writes to nobody', async (t) => {
  const segment = Segment.create(4096, 4096, 2 ** 20);
  const view = new Uint8Array(segment.arena as ArrayBuffer);
  const filled = promisify(randomFill as (view: Uint8Array, done: (error: Error | null) => void) => void)(view);
  segment.close();
  await filled;
  t.is(view.length, 0);
});

test.serial('a segment can neither be shrunk nor grown by whoever has it', (t) => {
  const segment = Segment.create(4096, 4096);
  for (const length of [0, 4096, 1_000_000]) t.throws(() => ftruncateSync(segment.descriptor, length), { code: 'EPERM' });
  segment.close();
});

test.serial('closing detaches the buffer, gives everything back, and may be repeated', (t) => {
  const before = resources();
  const segment = Segment.create(4096, 4096);
  const { buffer } = segment;
  const view = new Uint8Array(buffer);
  t.true(resources().mappings > before.mappings);
  segment.close();
  segment.close();
  t.is(buffer.byteLength, 0);
  t.is(view.length, 0);
  t.is(view[0], undefined);
  t.deepEqual(resources(), before);
});

test.serial('what is no segment is refused, and its descriptor closed', (t) => {
  const path = socketPath('file');
  const before = resources().descriptors;
  const file = (): number => {
    const descriptor = openSync(path, 'w+');
    writeSync(descriptor, Buffer.alloc(16_384));
    return descriptor;
  };
  t.throws(() => Segment.map(file(), 65_536));
  t.throws(() => Segment.map(openSync('/dev/zero', 'r+'), 65_536));
  t.throws(() => Segment.map(openSync('/', 'r'), 65_536));
  t.throws(() => Segment.map(-1, 65_536));
  t.is(resources().descriptors, before);
});

test.serial('a segment whose words have been changed, or whose rings are too large, is refused', (t) => {
  const before = resources();
  for (const [offset, value] of [
    [0x000, 0],
    [0x004, 2],
    [0x008, 4096],
    [0x00c, 0],
    [0x00c, 4097],
    [0x010, 0],
    [0x014, 8192],
    [0x014, 0],
    [0x018, 4096],
    [0x01c, 5000],
  ] as const) {
    const segment = Segment.create(4096, 4096);
    new Uint32Array(segment.buffer)[offset / 4] = value;
    t.throws(() => Segment.map(reopen(segment.descriptor), 65_536), undefined, `word ${offset.toString(16)} = ${value}`);
    segment.close();
  }
  const segment = Segment.create(8192, 4096);
  t.throws(() => Segment.map(reopen(segment.descriptor), 4096));
  segment.close();
  for (const [offset, value] of [
    [0x020, 0],
    [0x020, 4096 * 2],
    [0x024, 0],
    [0x024, 4096],
    [0x024, 8193],
    [0x024, 0xffffe000],
    [0x008, 4096 * 3],
  ] as const) {
    const withArena = Segment.create(4096, 4096, 8192);
    new Uint32Array(withArena.buffer)[offset / 4] = value;
    t.throws(() => Segment.map(reopen(withArena.descriptor), 65_536, 65_536), undefined, `word ${offset.toString(16)} = ${value}`);
    withArena.close();
  }
  const large = Segment.create(4096, 4096, 8192);
  t.throws(() => Segment.map(reopen(large.descriptor), 65_536, 4096), { message: /maxArenaBytes/ });
  t.throws(() => Segment.map(reopen(large.descriptor), 65_536));
  large.close();
  for (const bytes of [1, 4097, 2 ** 30 + 4096]) t.throws(() => Segment.create(4096, 4096, bytes));
  closeSync(openSync('/dev/null', 'r'));
  t.deepEqual(resources(), before);
});
