import test from 'ava';
import fc from 'fast-check';
import { type Held, ReleaseQueue } from '../../../src/session/release-queue.js';
import { random } from '../../helpers/seed.js';

test('records without handlers are releasable at once', (t) => {
  const queue = new ReleaseQueue(100);
  t.is(queue.releasable, 100);
  queue.pass(124);
  t.is(queue.releasable, 124);
  t.false(queue.hasHeld);
});

test('nothing behind an unfinished handler is releasable', (t) => {
  const queue = new ReleaseQueue(0);
  const first = queue.hold(24);
  const second = queue.hold(48);
  queue.pass(72);
  t.true(queue.hasHeld);
  t.is(queue.releasable, 0);
  t.false(queue.finish(second));
  t.is(queue.releasable, 0);
  t.true(queue.finish(first));
  t.is(queue.releasable, 72);
  t.false(queue.hasHeld);
});

test('positions may wrap', (t) => {
  const queue = new ReleaseQueue(-24);
  const held = queue.hold(0);
  queue.pass(24);
  t.true(queue.finish(held));
  t.is(queue.releasable, 24);
});

test('whatever the order in which handlers finish, exactly the finished beginning is releasable', (t) => {
  const { seed } = random();
  t.log(`seed ${seed}`);
  // true: a record with a handler; then the order in which handlers finish.
  const run = fc.array(fc.boolean(), { maxLength: 60 }).chain((records) =>
    fc.record({
      records: fc.constant(records),
      order: fc.shuffledSubarray(
        records.flatMap((isHeld, index) => (isHeld ? [index] : [])),
        { minLength: 0 },
      ),
    }),
  );
  fc.assert(
    fc.property(run, ({ records, order }) => {
      const queue = new ReleaseQueue(0);
      const held = new Map<number, Held>();
      const finished = new Set<number>();
      for (const [index, isHeld] of records.entries()) {
        if (isHeld) held.set(index, queue.hold((index + 1) * 8));
        else {
          queue.pass((index + 1) * 8);
          finished.add(index);
        }
      }
      for (const index of [-1, ...order]) {
        const before = queue.releasable;
        const moved = index < 0 ? false : queue.finish(held.get(index) as Held);
        finished.add(index);
        let expected = 0;
        while (finished.has(expected)) expected++;
        if (expected > records.length) expected = records.length;
        if (queue.releasable !== expected * 8) return false;
        if (index >= 0 && moved !== (queue.releasable !== before)) return false;
      }
      return true;
    }),
    { seed, numRuns: 500 },
  );
  t.pass();
});
