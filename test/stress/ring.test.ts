import test, { type ExecutionContext } from 'ava';
import { RingConsumer } from '../../src/ring/consumer.js';
import { type RingMemory, ringsOfSegment } from '../../src/ring/memory.js';
import { type Child, startChild } from '../helpers/child.js';
import { resources } from '../helpers/resources.js';
import { random } from '../helpers/seed.js';
import { giveSegment, theAddon } from '../helpers/shared-segment.js';
import { socketPath } from '../helpers/socket-path.js';
import { runStoreBuffering, wordsOf } from './fixtures/litmus.js';
import { consume } from './fixtures/records.js';

/** PILLION_STRESS_SCALE=100 before a release. */
const SCALE = Number(process.env['PILLION_STRESS_SCALE'] ?? 1);

/** A segment that another process maps too. */
async function share(t: ExecutionContext, capacity: number, execArgv: string[] = []): Promise<{ ring: RingMemory; child: Child }> {
  const path = socketPath();
  const segment = theAddon().Segment.create(capacity, 4096);
  const given = giveSegment(path, segment);
  const child = await startChild(new URL('./fixtures/litmus-peer.js', import.meta.url), { args: [path], execArgv });
  await given;
  t.teardown(async () => {
    await child.stop();
    segment.close();
    const { memfds, mappings } = resources();
    if (memfds + mappings > 0) throw new Error(`left behind: ${memfds} memfds, ${mappings} mappings`);
  });
  const [ring] = ringsOfSegment(segment.buffer, segment.headerBytes, segment.capacities);
  return { ring, child };
}

for (const [capacity, count] of [
  [4096, 300_000],
  [65_536, 700_000],
] as const) {
  test.serial(`records of random length cross between two processes in order and undamaged, ring of ${capacity}`, async (t) => {
    const numbers = random();
    t.log(`seed ${numbers.seed}, ${count * SCALE} records`);
    const { ring, child } = await share(t, capacity);
    const consumer = new RingConsumer(ring);
    const produced = child.ask('produce', count * SCALE, numbers.seed);
    const batches = consume(consumer, count * SCALE, random(numbers.seed + 1));
    await produced;
    t.false(consumer.hasNext());
    t.log(`${batches} batches`);
  });
}

for (const flag of ['--jitless', '--no-opt', '--maglev', '--always-turbofan']) {
  test.serial(`the same when the producer runs with ${flag}`, async (t) => {
    const count = 30_000 * SCALE;
    const numbers = random();
    t.log(`seed ${numbers.seed}, ${count} records`);
    const { ring, child } = await share(t, 4096, [flag]);
    const produced = child.ask('produce', count, numbers.seed);
    consume(new RingConsumer(ring), count, random(numbers.seed + 1));
    await t.notThrowsAsync(produced);
  });
}

test.serial('a payload that was stored before a word is there when the word is', async (t) => {
  const rounds = 2_000_000 * SCALE;
  const { ring, child } = await share(t, 65_536);
  const { payload, x, y } = wordsOf(ring);
  const done = child.ask('messagePassing', rounds);
  // It waits for the signal, so that both are at it together.
  await new Promise((resolve) => setTimeout(resolve, 50));
  Atomics.store(y, 0, 1);
  let seen = 0;
  let changes = 0;
  while (seen < rounds) {
    const flag = Atomics.load(x, 0);
    const [near, far] = [payload[0] as number, payload[1024] as number];
    if (near < flag || far < flag) return t.fail(`the word says ${flag}, the payload ${near} and ${far}`);
    if (flag !== seen) changes++;
    seen = flag;
  }
  await done;
  t.log(`${changes} values seen`);
  t.true(changes > 0);
});

test.serial('of two processes that each store and then look, at least one sees the other', async (t) => {
  const rounds = 50_000 * SCALE;
  const { ring, child } = await share(t, 65_536);
  const theirs = child.ask<Int32Array>('storeBuffering', rounds);
  // Let the question leave before this thread is busy.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const here = runStoreBuffering(wordsOf(ring), rounds, 'first');
  const there = await theirs;
  const neither: number[] = [];
  let both = 0;
  for (let round = 0; round < rounds; round++) {
    const [mine, other] = [here[round] as number, there[round] as number];
    if (mine <= round && other <= round) neither.push(round);
    if (mine > round && other > round) both++;
  }
  t.log(`${rounds} rounds, both saw the other in ${both}`);
  t.deepEqual(neither.slice(0, 10), [], 'rounds in which neither saw the other');
});
