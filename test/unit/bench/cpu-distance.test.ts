import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { CpuDistance } from '../../../bench/suite/cpu-distance.js';
import { LaneRun } from '../../../bench/suite/lane-run.js';
import { scenario } from '../../../bench/suite/scenarios.js';

const directory = mkdtempSync(join(tmpdir(), 'pillion-distance-'));
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

test.serial('the first look is the usual one, and waiting for what is usual ends', async (t) => {
  t.true(await new CpuDistance(directory).isUsual());
  const distance = new CpuDistance(directory);
  await distance.begin(100);
  t.is(typeof (await distance.untilUsual()), 'boolean');
});

test.serial('where it cannot be measured everything is usual', async (t) => {
  const compiler = process.env['CXX'];
  process.env['CXX'] = '/nonexistent/compiler';
  try {
    const distance = new CpuDistance(directory);
    await distance.begin(1_000);
    t.true(await distance.isUsual());
    t.true(await distance.untilUsual());
  } finally {
    if (compiler === undefined) delete process.env['CXX'];
    else process.env['CXX'] = compiler;
  }
});

test.serial('a repeated round takes the place of the last one', async (t) => {
  const plan = { runInMs: 5, warmupMs: 5, durationMs: 30 };
  const lane = new LaneRun(scenario('send', ['function'], { pattern: 'send' }), 'function', directory, performance.now() + 20_000);
  await lane.open();
  try {
    await lane.measure(plan);
    await lane.measure(plan);
    const [first, second] = lane.row.p50UsRounds;
    await lane.repeat(plan);
    t.like(lane.row, { status: 'ok', rounds: 2 });
    t.is(lane.row.p50UsRounds[0], first);
    t.is(lane.row.p50UsRounds.length, 2);
    t.is(typeof second, 'number');
  } finally {
    await lane.end();
  }
});

test.serial('a round that could not be repeated is kept', async (t) => {
  const plan = { runInMs: 5, warmupMs: 5, durationMs: 30 };
  const lane = new LaneRun(scenario('send', ['function'], { pattern: 'send' }), 'function', directory, performance.now() + 5_000);
  await lane.open();
  try {
    await lane.measure(plan);
    await lane.repeat({ ...plan, durationMs: 60_000 });
    t.like(lane.row, { status: 'ok', rounds: 1 });
  } finally {
    await lane.end();
  }
});
