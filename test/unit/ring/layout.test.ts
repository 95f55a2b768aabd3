import { readFileSync } from 'node:fs';
import test from 'ava';
import * as layout from '../../../src/ring/layout.js';
import * as memory from '../../../src/ring/memory.js';
import { packageFile } from '../../helpers/root.js';

const header = readFileSync(packageFile('native/layout.h'), 'utf8');

/** Constants of the header: kName = number or shift. */
function nativeConstants(): Map<string, number> {
  const constants = new Map<string, number>();
  for (const [, name, value] of header.matchAll(/\b(k[A-Z]\w*) = (0x[0-9A-Fa-f]+|\d+u? << \d+|\d+)/g)) {
    const [base, shift] = (value as string).replace('u', '').split(' << ').map(Number) as [number, number?];
    constants.set(name as string, base * 2 ** (shift ?? 0));
  }
  return constants;
}

const pairs: Record<string, number> = {
  kSegmentMagic: layout.SEGMENT_MAGIC,
  kLayoutVersion: layout.LAYOUT_VERSION,
  kMinRingBytes: layout.MIN_RING_BYTES,
  kMaxRingBytes: layout.MAX_RING_BYTES,
  kMaxArenaBytes: layout.MAX_ARENA_BYTES,
  kMagicOffset: layout.MAGIC_OFFSET,
  kVersionOffset: layout.VERSION_OFFSET,
  kSegmentBytesOffset: layout.SEGMENT_BYTES_OFFSET,
  kHeaderBytesOffset: layout.HEADER_BYTES_OFFSET,
  kRingTableOffset: layout.RING_TABLE_OFFSET,
  kArenaOffset: layout.ARENA_OFFSET,
  kControlOffset: layout.CONTROL_OFFSET,
  kControlBytesPerRing: layout.CONTROL_BYTES_PER_RING,
  kTailOffset: layout.TAIL_OFFSET,
  kHeadOffset: layout.HEAD_OFFSET,
  kParkedOffset: layout.PARKED_OFFSET,
  kStarvedOffset: layout.STARVED_OFFSET,
  kCpuOffset: layout.CPU_OFFSET,
  kAwake: layout.AWAKE,
  kAsleep: layout.ASLEEP,
  kDozing: layout.DOZING,
};

test('TypeScript and the native header agree on every constant that both have', (t) => {
  const native = nativeConstants();
  for (const [name, value] of Object.entries(pairs)) t.is(native.get(name), value, name);
});

test('no constant of the native header is missing in TypeScript but the size of page 0', (t) => {
  t.deepEqual(
    [...nativeConstants().keys()].filter((name) => !(name in pairs)),
    ['kMinHeaderBytes'],
  );
});

test('control words of both rings lie 128 bytes apart, inside page 0, and nowhere twice', (t) => {
  const words = [0, 1].flatMap((ring) =>
    [layout.TAIL_OFFSET, layout.HEAD_OFFSET, layout.PARKED_OFFSET, layout.STARVED_OFFSET].map(
      (word) => layout.CONTROL_OFFSET + ring * layout.CONTROL_BYTES_PER_RING + word,
    ),
  );
  t.deepEqual(words, [0x400, 0x480, 0x500, 0x580, 0x600, 0x680, 0x700, 0x780]);
  t.deepEqual([memory.TAIL, memory.HEAD, memory.PARKED, memory.STARVED], [0, 32, 64, 96]);
});

test('a record takes its header, its payload and padding to a multiple of 8', (t) => {
  for (let length = 0; length < 2000; length++) {
    const aligned = layout.alignedLength(length);
    t.true(aligned % 8 === 0 && aligned >= length + 16 && aligned < length + 24, `payload of ${length}`);
  }
  t.is(layout.alignedLength(layout.MAX_RING_BYTES / 4 - 16), layout.MAX_RING_BYTES / 4);
});

test('the longest record is a quarter of its ring', (t) => {
  for (let capacity = layout.MIN_RING_BYTES; capacity <= layout.MAX_RING_BYTES; capacity *= 2) {
    t.is(layout.alignedLength(layout.maxPayloadBytes(capacity)), capacity / 4);
  }
});
