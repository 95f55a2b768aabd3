import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Row } from '../../../bench/result.js';
import { Calm, disturbedOf, type Reading, unrestOf, usualOf } from '../../../bench/suite/calm.js';
import { LaneRun } from '../../../bench/suite/lane-run.js';
import { type Effort, quick, scenario } from '../../../bench/suite/scenarios.js';
import { runSuite } from '../../../bench/suite/suite.js';

const directory = mkdtempSync(join(tmpdir(), 'pillion-calm-'));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

const quiet: Reading = { line: 120, wake: 60_000, syscall: 250, memcpy: 60_000 };
const apart: Reading = { line: 500, wake: 60_000, syscall: 250, memcpy: 45_000 };

test('the usual are the medians of that placement of the CPUs which was there most often', (t) => {
  t.is(usualOf([]), undefined);
  t.deepEqual(usualOf([apart]), apart);
  const near = [110, 120, 200].map((line) => ({ ...quiet, line }));
  t.deepEqual(usualOf([apart, ...near, apart]), quiet);
  t.deepEqual(usualOf([...near, apart, apart, { ...apart, line: 480 }, { ...apart, line: 530, wake: 400_000 }]), apart);
});

const calmly = (reading: Reading, usual: Reading) => unrestOf(reading, usual) <= 1;

test('neither moved CPUs, slow or cheap wake-ups nor a busy core are usual', (t) => {
  t.true(calmly(quiet, quiet));
  t.true(calmly({ line: 170, wake: 85_000, syscall: 270, memcpy: 70_000 }, quiet));
  t.true(calmly({ line: 90, wake: 45_000, syscall: 100, memcpy: 20_000 }, quiet));
  for (const other of [{ line: 500 }, { line: 55 }, { wake: 200_000 }, { wake: 10_000 }, { syscall: 290 }, { memcpy: 90_000 }]) {
    t.false(calmly({ ...quiet, ...other }, quiet), JSON.stringify(other));
  }
});

test.serial('before a run begins everything is usual, and waiting for what is usual ends', async (t) => {
  t.is(await new Calm(directory).look(), 0);
  const calm = new Calm(directory);
  await calm.begin();
  calm.grant(100);
  t.is(typeof (await calm.settle()), 'number');
  calm.spend(100);
  t.false(calm.hasPatience);
  t.is(typeof (await calm.settle()), 'number', 'it still looks, once');
});

test.serial('where it cannot be seen everything is usual', async (t) => {
  const compiler = process.env['CXX'];
  process.env['CXX'] = '/nonexistent/compiler';
  try {
    const calm = new Calm(directory);
    await calm.begin();
    calm.grant(1_000);
    t.is(await calm.look(), 0);
    t.is(await calm.settle(), 0);
  } finally {
    if (compiler === undefined) delete process.env['CXX'];
    else process.env['CXX'] = compiler;
  }
});

const nothing: ReadonlySet<number> = new Set();
const plan = { runInMs: 5, warmupMs: 5, durationMs: 30 };

/** A lane that calls a function, open for `work`. */
async function withLane(budgetMs: number, work: (lane: LaneRun) => Promise<void>): Promise<void> {
  const lane = new LaneRun(scenario('send', ['function'], { pattern: 'send' }), 'function', directory, performance.now() + budgetMs);
  await lane.open();
  try {
    await work(lane);
  } finally {
    await lane.end();
  }
}

test.serial('a repeated round takes the place of the last one', (t) =>
  withLane(20_000, async (lane) => {
    await lane.measure(plan);
    await lane.measure(plan);
    const [first, second] = lane.rowWithout(nothing).p50UsRounds;
    t.true(await lane.repeat(plan));
    t.like(lane.rowWithout(nothing), { status: 'ok', rounds: 2 });
    t.is(lane.rowWithout(nothing).p50UsRounds[0], first);
    t.is(lane.rowWithout(nothing).p50UsRounds.length, 2);
    t.is(typeof second, 'number');
  }),
);

test.serial('a round that could not be repeated is kept', (t) =>
  withLane(5_000, async (lane) => {
    await lane.measure(plan);
    t.false(await lane.repeat({ ...plan, durationMs: 60_000 }));
    t.like(lane.rowWithout(nothing), { status: 'ok', rounds: 1 });
  }),
);

test.serial('rounds are left out by their number, and the row says how many', (t) =>
  withLane(20_000, async (lane) => {
    for (let round = 0; round < 3; round++) await lane.measure(plan);
    const all = lane.rowWithout(nothing);
    const others = lane.rowWithout(new Set([1]));
    t.deepEqual(others.p50UsRounds, [all.p50UsRounds[0], all.p50UsRounds[2]]);
    t.like(others, { rounds: 2, extras: { roundsLeftOut: 1 } });
    t.false('roundsLeftOut' in all.extras);
  }),
);

test('unrest grows with the distance, and half of the turns are left out at most, the worst ones', (t) => {
  t.is(unrestOf(quiet, quiet), 0);
  t.is(Math.round(unrestOf({ ...quiet, wake: 60_000 * 1.5 ** 2 }, quiet) * 1_000), 2_000);
  t.deepEqual(disturbedOf([]), new Set());
  t.deepEqual(disturbedOf([0.5, 1, 1.1, 0]), new Set([2]));
  t.deepEqual(disturbedOf([3, 2, 5, 4, 0.2]), new Set([2, 3]));
});

/** A machine that is restless in some of each ten looks. */
class Flickering extends Calm {
  looks = 0;
  readonly restless: readonly number[];
  constructor(restless: readonly number[]) {
    super(directory);
    this.restless = restless;
  }
  override async begin(): Promise<void> {}
  override async look(): Promise<number> {
    return this.restless.includes(this.looks++ % 10) ? 2 : 0;
  }
}

async function disturbedRow(restless: readonly number[], patienceMs: number): Promise<Row> {
  const effort: Effort = {
    ...quick,
    patienceMs,
    rounds: 10,
    countsSyscalls: false,
    held: { plans: { flowing: plan, gapped: plan }, turns: () => ({ starts: 1, rounds: 10 }) },
  };
  const scenarios = [scenario('limits', ['function'], { pattern: 'send' })];
  const [row] = await runSuite({ scenarios, effort, directory, calm: new Flickering(restless), progress: () => {} });
  return row as Row;
}

test.serial('without patience disturbed turns are left out', async (t) => {
  // A look after each turn and one before the first; another one after each that is not calm.
  t.like(await disturbedRow([5], 0), { status: 'ok', rounds: 9, extras: { roundsLeftOut: 1 } });
});

test.serial('with patience they are measured anew', async (t) => {
  const row = await disturbedRow([5], 10_000);
  t.like(row, { status: 'ok', rounds: 10 });
  t.false('roundsLeftOut' in row.extras);
});

test.serial('of a machine that is never calm half of the turns remain', async (t) => {
  t.like(await disturbedRow([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 0), { status: 'ok', rounds: 5, extras: { roundsLeftOut: 5 } });
});
