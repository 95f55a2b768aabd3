import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { connect, type ServeOptions } from '../../src/index.js';
import { conformance } from '../conformance/fixtures/contract.js';
import type { Heard } from '../conformance/fixtures/handlers.js';
import { startSidecar } from '../conformance/fixtures/suite.js';
import { random } from '../helpers/seed.js';
import { socketPath } from '../helpers/socket-path.js';

const SCALE = Number(process.env['PILLION_STRESS_SCALE'] ?? 1);
const ROUNDS = 4000 * SCALE;

/** Waits for a random while around the time that falling asleep takes: nothing, a turn of the loop, some µs, or ms. */
async function hesitate(below: (limit: number) => number): Promise<void> {
  switch (below(4)) {
    case 0:
      return;
    case 1:
      await new Promise((resolve) => setImmediate(resolve));
      return;
    case 2:
      for (const end = performance.now() + below(200) / 1000; performance.now() < end; );
      return;
    default:
      await sleep(below(3));
  }
}

const settings: { name: string; wait: 'adaptive' | 'park'; lingerMs: number; transport: 'auto' | 'socket' }[] = [
  { name: 'both park at once', wait: 'park', lingerMs: 0, transport: 'auto' },
  { name: 'both spin as they like', wait: 'adaptive', lingerMs: 0, transport: 'auto' },
  { name: 'the sidecar dozes', wait: 'adaptive', lingerMs: 1, transport: 'auto' },
  { name: 'over the socket', wait: 'adaptive', lingerMs: 1, transport: 'socket' },
];

for (const { name, wait, lingerMs, transport } of settings) {
  test.serial(`no wake-up is lost, whenever somebody falls asleep: ${name}`, async (t) => {
    const { below, seed } = random();
    t.log(`seed ${seed}, ${ROUNDS} rounds`);
    const path = socketPath();
    const sidecar = await startSidecar(path, { wait, lingerMs } satisfies ServeOptions);
    const client = connect(conformance, { path, wait, transport, callTimeoutMs: 20_000 });
    t.teardown(async () => {
      await client.close();
      await sidecar.stop();
    });
    await client.ready({ timeout: 20_000 });
    let events = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await hesitate(below);
      // A wake-up that is lost leaves one of these waiting for its timeout.
      const what = below(8);
      if (what < 3 && (await client.call('echo', round)) !== round) return t.fail(`round ${round} got another answer`);
      if (what === 3 && client.callSync('echo', round) !== round) return t.fail(`round ${round} got another answer`);
      if (what >= 4) {
        if (client.send('note', { number: events })) events++;
        if (what === 7) await client.flush({ timeout: 20_000 });
      }
    }
    await client.flush({ timeout: 20_000 });
    const heard = await sidecar.ask<Heard[]>('takeHeard');
    t.is(heard.length, events);
    t.true(heard.every(({ value }, index) => (value as { number: number }).number === index));
    const { doorbells, callsFailed, connections } = client.stats();
    t.is(callsFailed, 0);
    t.is(connections, 1);
    // One per message at most: a consumer that is rung for has to announce sleep again first.
    if (transport === 'auto') t.true(doorbells <= 2 * ROUNDS, `${doorbells} doorbells`);
    t.log(`${doorbells} doorbells, ${events} events`);
  });
}

test.serial('a ring that is always too small lets everything through', async (t) => {
  const { below, seed } = random();
  t.log(`seed ${seed}`);
  const path = socketPath();
  const sidecar = await startSidecar(path, { wait: 'park', lingerMs: 0 });
  const client = connect(conformance, { path, wait: 'park', ringBytes: { toServer: 4096, toClient: 4096 }, callTimeoutMs: 30_000 });
  t.teardown(async () => {
    await client.close();
    await sidecar.stop();
  });
  await client.ready({ timeout: 20_000 });
  for (let round = 0; round < 60 * SCALE; round++) {
    const sizes = Array.from({ length: 1 + below(12) }, () => below(20_000));
    const answers = await Promise.all(sizes.map((size) => client.call('echoRaw', new Uint8Array(size).fill(round))));
    t.deepEqual(
      answers.map((bytes) => bytes.length),
      sizes,
    );
  }
});
