import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Calm, isUsual, type Reading, usualOf } from '../../../bench/suite/calm.js';
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

test('neither moved CPUs, slow or cheap wake-ups nor a busy core are usual', (t) => {
  t.true(isUsual(quiet, quiet));
  t.true(isUsual({ line: 170, wake: 85_000, syscall: 270, memcpy: 70_000 }, quiet));
  t.true(isUsual({ line: 90, wake: 45_000, syscall: 100, memcpy: 20_000 }, quiet));
  for (const other of [{ line: 500 }, { line: 55 }, { wake: 200_000 }, { wake: 10_000 }, { syscall: 290 }, { memcpy: 90_000 }]) {
    t.false(isUsual({ ...quiet, ...other }, quiet), JSON.stringify(other));
  }
});

test.serial('before a run begins everything is usual, and waiting for what is usual ends', async (t) => {
  t.true(await new Calm(directory).isNow());
  const calm = new Calm(directory);
  await calm.begin();
  calm.grant(100);
  t.is(typeof (await calm.untilNow()), 'boolean');
  calm.spend(100);
  t.false(await calm.untilNow(), 'the patience is gone');
});

test.serial('where it cannot be seen everything is usual', async (t) => {
  const compiler = process.env['CXX'];
  process.env['CXX'] = '/nonexistent/compiler';
  try {
    const calm = new Calm(directory);
    await calm.begin();
    calm.grant(1_000);
    t.true(await calm.isNow());
    t.true(await calm.untilNow());
  } finally {
    if (compiler === undefined) delete process.env['CXX'];
    else process.env['CXX'] = compiler;
  }
});

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
    const [first, second] = lane.row.p50UsRounds;
    await lane.repeat(plan);
    t.like(lane.row, { status: 'ok', rounds: 2 });
    t.is(lane.row.p50UsRounds[0], first);
    t.is(lane.row.p50UsRounds.length, 2);
    t.is(typeof second, 'number');
  }),
);

test.serial('a round that could not be repeated is kept', (t) =>
  withLane(5_000, async (lane) => {
    await lane.measure(plan);
    await lane.repeat({ ...plan, durationMs: 60_000 });
    t.like(lane.row, { status: 'ok', rounds: 1 });
  }),
);

/** Counts how often somebody looks at it. */
class Watched extends Calm {
  looks = 0;
  override async isNow(): Promise<boolean> {
    this.looks++;
    return true;
  }
}

test.serial('when the time is up nobody looks at the machine any more', async (t) => {
  const calm = new Watched(directory);
  await calm.begin();
  const before = calm.looks;
  const effort: Effort = { ...quick, budgetMs: 0, rounds: 100, countsSyscalls: false };
  const scenarios = [scenario('limits', ['function'], { pattern: 'send' })];
  const rows = await runSuite({ scenarios, effort, directory, calm, progress: () => {} });
  t.regex(rows[0]?.status ?? '', /the time was up/);
  // The run begins with a fixed number of looks, and its only start with one.
  t.is(calm.looks - before, before + 1);
});
