import test from 'ava';
import fc from 'fast-check';
import { ArenaAllocator, blockBytes } from '../../../src/ring/arena.js';
import { ARENA_ALIGNMENT } from '../../../src/ring/layout.js';
import { random } from '../../helpers/seed.js';

const CAPACITY = 64 * ARENA_ALIGNMENT;

/** What an arena must look like from outside: one owner, or none, for each unit of alignment. */
interface Model {
  units: (number | null)[];
  blocks: Map<number, number>;
}

type Step = fc.Command<Model, ArenaAllocator>;

class Allocate implements Step {
  private readonly bytes: number;
  constructor(bytes: number) {
    this.bytes = bytes;
  }
  check = (): boolean => true;
  run({ units, blocks }: Model, arena: ArenaAllocator): void {
    const needed = blockBytes(this.bytes) / ARENA_ALIGNMENT;
    const expected = firstFit(units, needed);
    const offset = arena.allocate(this.bytes);
    if (offset !== (expected < 0 ? -1 : expected * ARENA_ALIGNMENT)) throw new Error(`block at ${offset}, the model says unit ${expected}`);
    if (expected < 0) return;
    units.fill(offset, expected, expected + needed);
    blocks.set(offset, needed);
  }
  toString = (): string => `allocate(${this.bytes})`;
}

class Release implements Step {
  private readonly which: number;
  constructor(which: number) {
    this.which = which;
  }
  check = ({ blocks }: Readonly<Model>): boolean => blocks.size > 0;
  run({ units, blocks }: Model, arena: ArenaAllocator): void {
    const offset = [...blocks.keys()][this.which % blocks.size] as number;
    arena.release(offset);
    units.fill(null, offset / ARENA_ALIGNMENT, offset / ARENA_ALIGNMENT + (blocks.get(offset) as number));
    blocks.delete(offset);
    const used = units.filter((owner) => owner !== null).length * ARENA_ALIGNMENT;
    if (arena.usedBytes !== used || arena.blockCount !== blocks.size) throw new Error(`used=${arena.usedBytes}, the model says ${used}`);
  }
  toString = (): string => `release(${this.which})`;
}

function firstFit(units: (number | null)[], needed: number): number {
  for (let start = 0; start + needed <= units.length; start++) {
    if (units.slice(start, start + needed).every((owner) => owner === null)) return start;
  }
  return -1;
}

test('an arena gives the first free part that is large enough, and joins what comes back, whatever is done in whatever order', (t) => {
  const { seed } = random();
  t.log(`seed ${seed}`);
  const bytes = fc.oneof(fc.integer({ min: 0, max: 5 * ARENA_ALIGNMENT }), fc.integer({ min: 0, max: CAPACITY + 1 }));
  const commands = fc.commands([bytes.map((size) => new Allocate(size)), fc.nat(1000).map((which) => new Release(which))], {
    maxCommands: 200,
    size: 'max',
  });
  fc.assert(
    fc.property(commands, (steps) => {
      const model: Model = { units: new Array(64).fill(null), blocks: new Map() };
      fc.modelRun(() => ({ model, real: new ArenaAllocator(CAPACITY) }), steps);
    }),
    { seed, numRuns: 300 },
  );
  t.pass();
});

test('a full arena gives nothing, and all of it again when everything was given back in any order', (t) => {
  const arena = new ArenaAllocator(CAPACITY);
  const offsets = Array.from({ length: 64 }, () => arena.allocate(1));
  t.deepEqual(
    offsets,
    offsets.map((_, unit) => unit * ARENA_ALIGNMENT),
  );
  t.is(arena.allocate(0), -1);
  for (const offset of [...offsets.filter((_, unit) => unit % 2 === 1), ...offsets.filter((_, unit) => unit % 2 === 0)])
    arena.release(offset);
  t.is(arena.usedBytes, 0);
  t.is(arena.allocate(CAPACITY), 0);
});

test('a block cannot be given back twice, nor from its middle', (t) => {
  const arena = new ArenaAllocator(CAPACITY);
  const offset = arena.allocate(1000);
  t.throws(() => arena.release(offset + ARENA_ALIGNMENT), { instanceOf: RangeError });
  arena.release(offset);
  t.throws(() => arena.release(offset), { instanceOf: RangeError });
  t.is(arena.usedBytes, 0);
});

test('an arena of no bytes has no room for anything', (t) => {
  t.is(new ArenaAllocator(0).allocate(0), -1);
});
