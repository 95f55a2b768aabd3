import test from 'ava';
import { ASLEEP, AWAKE } from '../../src/ring/layout.js';
import { HEAD, PARKED, type RingMemory, STARVED, TAIL } from '../../src/ring/memory.js';
import { until } from '../helpers/deadline.js';
import { Suite, type SuiteClient } from './fixtures/suite.js';

const suite = new Suite({ lingerMs: 0 });

/** The rings that the client shares with the sidecar process. */
function rings(client: SuiteClient): { outbound: RingMemory; inbound: RingMemory } {
  return (client as unknown as { session: { memory: { outbound: RingMemory; inbound: RingMemory } } }).session.memory;
}

test.serial("what the addon stores in one process is where the other one's TypeScript looks", async (t) => {
  const client = await suite.connect(t, 'shm', { wait: 'park' });
  const { outbound, inbound } = rings(client);
  const words = (ring: RingMemory): number[] => [TAIL, HEAD, PARKED, STARVED].map((word) => Atomics.load(ring.control, word));
  await client.call('echo', 1);
  // Both loops sleep: the sidecar's addon says so in ring 0, this process's in ring 1.
  await until('both are asleep', () => words(outbound)[2] === ASLEEP && words(inbound)[2] === ASLEEP);
  const [tail, head] = words(outbound);
  t.is(tail, head);
  t.true((tail as number) > 0);
  t.is(words(inbound)[0], words(inbound)[1]);

  // A sidecar that is busy is awake; what is sent to it stays between head and tail.
  const stalled = client.call('stall', 300, { timeout: 20_000 });
  await until('the sidecar has taken the call', () => words(outbound)[0] === words(outbound)[1] || words(outbound)[2] === AWAKE);
  client.send('note', { number: 1 });
  t.is(words(outbound)[2], AWAKE);
  await stalled;

  // Waiting for space: this process's addon announces it, the sidecar's TypeScript takes it back.
  client.send('lateNote', { number: 2, ms: 100 });
  const flushed = client.flush({ timeout: 20_000 });
  await until('this process is said to be starved', () => words(outbound)[3] === 1);
  await flushed;
  t.is(words(outbound)[3], 0);
  t.is(words(outbound)[0], words(outbound)[1]);
});

test.serial('a sidecar that is busy is rung for at most once, however much is sent', async (t) => {
  const client = await suite.connect(t, 'shm', { wait: 'park' });
  const { outbound } = rings(client);
  await client.call('echo', 1);
  await until('the sidecar sleeps', () => Atomics.load(outbound.control, PARKED) === ASLEEP);
  const before = client.stats().doorbells;
  const stalled = client.call('stall', 400, { timeout: 20_000 });
  for (let number = 0; number < 500; number++) {
    t.true(client.send('note', { number }));
    if (number % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const during = client.stats().doorbells - before;
  await stalled;
  t.is(during, 1);
  await client.flush({ timeout: 20_000 });
  t.true((await suite.heardSoFar()).length >= 500);
});
