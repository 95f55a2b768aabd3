import { readFileSync } from 'node:fs';
import test from 'ava';
import { type HostileAction, hostileActions, startHostile, titleOf } from '../fixtures/node/hostile.js';
import {
  checkNoChildren,
  checkResources,
  DEADLINE_MS,
  type Program,
  place,
  type Resources,
  readLedger,
  resourcesOf,
  startApp,
  startSidecar,
} from '../fixtures/node/program.js';

/**
 * A real sidecar under every attack that the raw client knows, one after the other, with a well-behaved app connected all the time. Whatever happens to the
 * attacker's own connection, the sidecar lives, gives everything back, and the app notices nothing.
 */

let sidecar: Program;
let app: Program;
let start: Resources;
let path: string;
let ledger: string;
let release: (() => Promise<void>)[];

// The sidecar and the app outlive the single test, so they are not bound to one.
const suite = { teardown: (end: () => Promise<void>) => release.unshift(end) };

test.before(async () => {
  release = [];
  const t = suite as unknown as Parameters<typeof place>[0];
  const where = place(t);
  path = where.path;
  ledger = where.ledger();
  sidecar = await startSidecar(t, { path, ledger, handshakeTimeoutMs: 700, maxMessageBytes: 1024 * 1024 });
  app = await startApp(t, { path });
  await app.next('connected');
  start = resourcesOf(sidecar.pid);
  await app.ask('start', { perTurn: 2, pauseMs: 2, calls: true });
});

test.after.always('the app sent and called all the time, and nothing was lost, doubled or changed', async (t) => {
  try {
    const { last, calls, failed } = await app.ask<{ last: number; calls: number; failed: unknown[] }>('stop');
    await app.ask('flush');
    t.deepEqual(failed, []);
    t.true(calls > 0);
    const { client } = readLedger(ledger)[0] as { client: string };
    const own = readLedger(ledger).filter((entry) => entry.client === client);
    t.deepEqual([own.length, own.at(-1)?.id, own.filter(({ redelivered }) => redelivered).length], [last, last, 0]);
    t.is((await app.ask<{ connections: number }>('stats')).connections, 1);
  } finally {
    for (const end of release) await end();
  }
  await checkNoChildren(t);
});

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

for (const action of hostileActions('client')) {
  test.serial(titleOf(action), async (t) => {
    await attack(t, action);
  });
}

async function attack(t: Parameters<typeof place>[0], { action, expect }: HostileAction): Promise<void> {
  const before = await app.ask<{ calls: number }>('progress');
  const resident = residentBytes(sidecar.pid);
  const { outcome, seed, ...rest } = await startHostile(t, path, action, ['--rounds', '300']).outcome;
  t.log(`seed ${seed}: ${outcome}`);
  if (outcome === 'not tried') t.log(rest);
  t.true(sidecar.isRunning, `the sidecar has died: ${sidecar.stderr}`);
  t.true(expect.includes(outcome), `${outcome} is not what the protocol allows (${expect}): ${JSON.stringify(rest)}`);
  t.is(rest['ok'], true, JSON.stringify(rest));
  // The app's calls go on, and go on right.
  for (const end = performance.now() + DEADLINE_MS; ; ) {
    const now = await app.ask<{ calls: number; failed: number }>('progress');
    t.is(now.failed, 0, 'a call of the other app has failed');
    if (now.calls > before.calls + 3) break;
    if (performance.now() > end) return t.fail('the calls of the other app stand still');
  }
  await checkResources(t, sidecar.pid, start);
  // No claim of a peer makes the sidecar allocate: it grows by what was sent at most.
  t.true(residentBytes(sidecar.pid) - resident < 256 * 1024 * 1024);
}
