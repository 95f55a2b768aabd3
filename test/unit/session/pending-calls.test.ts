import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { resolveCodec } from '../../../src/protocol/codec.js';
import { type PendingCall, PendingCalls } from '../../../src/session/pending-calls.js';
import { until } from '../../helpers/deadline.js';

const json = resolveCodec('json');

function pendingCall(id: number, timeoutMs: number, outcomes: unknown[]): PendingCall {
  return {
    id,
    name: `call ${id}`,
    codec: json,
    timeoutMs,
    deadline: performance.now() + timeoutMs,
    resolve: (value) => outcomes.push(value),
    reject: (error) => outcomes.push(error),
    recordCount: 1,
    payload: null,
    tag: 0,
    signal: null,
    onAbort: null,
  };
}

/** Timers of this process that have not fired. */
const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

test.serial('a call is taken once', (t) => {
  const calls = new PendingCalls(() => {});
  const call = pendingCall(7, 1000, []);
  calls.add(call);
  t.true(calls.has(7));
  t.is(calls.size, 1);
  t.is(calls.get(7), call);
  t.is(calls.take(7), call);
  t.is(calls.take(7), undefined);
  t.is(calls.size, 0);
  calls.rejectAll(() => new Error('end'));
});

test.serial('calls expire by their own deadlines, through one timer', async (t) => {
  const outcomes: unknown[] = [];
  const expired: number[] = [];
  const calls = new PendingCalls(({ id }) => expired.push(id));
  const before = timers();
  for (const [id, ms] of [40, 10, 25, 10_000, Number.POSITIVE_INFINITY].entries()) calls.add(pendingCall(id, ms, outcomes));
  t.true(timers() - before <= 1);
  const keepAlive = setInterval(() => {}, 1000);
  await until('three have expired', () => expired.length === 3);
  clearInterval(keepAlive);
  t.deepEqual(expired, [1, 2, 0]);
  t.deepEqual(
    outcomes.map((error) => (error as { code: string }).code),
    Array(3).fill('ERR_PILLION_TIMEOUT'),
  );
  t.is(calls.size, 2);
  calls.rejectAll(({ name }) => new Error(name));
  t.is(calls.size, 0);
  t.is((outcomes.at(-1) as Error).message, 'call 4');
});

test.serial('a deadline that comes before the armed one moves the timer', async (t) => {
  const expired: number[] = [];
  const calls = new PendingCalls(({ id }) => expired.push(id));
  calls.add(pendingCall(1, 10_000, []));
  calls.add(pendingCall(2, 5, []));
  const keepAlive = setInterval(() => {}, 1000);
  await until('the second has expired', () => expired.length === 1);
  clearInterval(keepAlive);
  t.deepEqual(expired, [2]);
  calls.rejectAll(() => new Error('end'));
});

test.serial('a call that was answered does not expire', async (t) => {
  const outcomes: unknown[] = [];
  const calls = new PendingCalls(() => t.fail('nothing expires'));
  calls.add(pendingCall(1, 5, outcomes));
  calls.take(1);
  await sleep(20);
  t.deepEqual(outcomes, []);
});

test.serial('taking a call forgets its signal', (t) => {
  const { signal } = new AbortController();
  let removed = 0;
  signal.removeEventListener = () => void removed++;
  const calls = new PendingCalls(() => {});
  calls.add({ ...pendingCall(1, 1000, []), signal, onAbort: () => {} });
  calls.take(1);
  t.is(removed, 1);
  calls.rejectAll(() => new Error('end'));
});

test.serial('very long timeouts do not expire at once', async (t) => {
  const calls = new PendingCalls(() => t.fail('too early'));
  calls.add(pendingCall(1, 2 ** 40, []));
  await sleep(10);
  t.is(calls.size, 1);
  calls.rejectAll(() => new Error('end'));
});

test.serial('no timer is left when no call is', (t) => {
  const before = timers();
  const calls = new PendingCalls(() => {});
  for (let id = 1; id < 5; id++) calls.add(pendingCall(id, 1000 * id, []));
  calls.rejectAll(() => new Error('end'));
  t.true(timers() <= before);
});
