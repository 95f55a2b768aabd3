import test from 'ava';
import { type HostileAction, hostileActions, startHostile, titleOf } from '../fixtures/node/hostile.js';
import {
  checkNoChildren,
  checkResources,
  type Program,
  place,
  type Resources,
  readLedger,
  resourcesOf,
  startApp,
  startSidecar,
} from '../fixtures/node/program.js';

/**
 * A real app that meets every server the raw peer can play, one after the other, and a good sidecar after each. The app lives, keeps what it accepted, and
 * finds the good one.
 */

const release: (() => Promise<void>)[] = [];
const suite = { teardown: (end: () => Promise<void>) => release.unshift(end) } as unknown as Parameters<typeof place>[0];
const { path, ledger } = place(suite);
const apps = new Map<string, { app: Program; start: Resources; sent: number }>();
let round = 0;

test.before(async () => {
  const sidecar = await startSidecar(suite, { path });
  for (const transport of ['auto', 'socket'] as const) {
    const app = await startApp(suite, {
      path,
      transport,
      maxMessageBytes: 1024 * 1024,
      handshakeTimeoutMs: 1500,
      ringBytes: { toServer: 16384 },
    });
    await app.ask('ready');
    t0.set(transport, app);
  }
  await sidecar.kill();
  for (const [transport, app] of t0) {
    await app.next('disconnected');
    apps.set(transport, { app, start: resourcesOf(app.pid), sent: 0 });
    app.signal('SIGSTOP');
  }
});
const t0 = new Map<string, Program>();

test.after.always('no child is left', async (t) => {
  for (const end of release) await end();
  await checkNoChildren(t);
});

for (const action of hostileActions('server')) {
  test.serial(titleOf(action), async (t) => {
    await meet(t, action);
  });
}

/** One of each kind, none of which ends by itself; what becomes of them is not the question here. */
function openStreams(app: Program): Promise<unknown> {
  // One that is opened when the hostile one has gone already would go on with its successor.
  const timeout = 5000;
  return Promise.all([
    app.ask('numbers', { request: { count: 1e9 }, windowBytes: 1024, pauseMs: 20, timeout }),
    app.ask('total', { count: 1e9, timeout }),
    app.ask('mirror', { count: 1e9, windowBytes: 1024, timeout }),
  ]);
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

async function meet(t: typeof suite, { action, expect, needs }: HostileAction): Promise<void> {
  const transport = /without shm/.test(needs ?? '') || action === 'server-welcome-unoffered' ? 'socket' : 'auto';
  const victim = apps.get(transport) as { app: Program; start: Resources; sent: number };
  const { app, start } = victim;
  app.signal('SIGCONT');
  const { connections } = await app.ask<{ connections: number }>('stats');
  // Accepted before it comes: nobody may lose these.
  await app.ask<number>('send', { count: 5 });
  const hostile = startHostile(t, path, action, ['--rounds', '300', '--seconds', '1']);
  await hostile.listening;
  const calls = /call|reply|error-|toggle/.test(`${needs} ${action}`)
    ? app.ask('calls', { name: 'echo', values: ['ä', 'b', 'c'], timeout: 3000 })
    : null;
  const streams = /that streams/.test(needs ?? '') ? openStreams(app) : null;
  const isStreaming = /more than its ring/.test(needs ?? '');
  if (isStreaming) await app.ask('start', { perTurn: 1, pauseMs: 1 });
  const { outcome, seed, ...rest } = await hostile.outcome;
  if (isStreaming) await app.ask('stop');
  t.log(`seed ${seed}: ${outcome}`);
  t.true(app.isRunning, `the app has died: ${app.stderr}`);
  t.true(expect.includes(outcome), `${outcome} is not what the protocol allows (${expect}): ${JSON.stringify(rest)}`);
  t.is(rest['ok'], true, JSON.stringify(rest));
  const file = ledger(String(++round));
  const sidecar = await startSidecar(t, { path, ledger: file });
  await calls;
  await streams;
  await app.ask('flush');
  const last = await app.ask<number>('send', { count: 5 });
  await app.ask('flush');
  t.is(await app.ask('call', { name: 'echo', value: round }), round);
  const ids = readLedger(file).map(({ id }) => id);
  const hasConnected = (await app.ask<{ connections: number }>('stats')).connections > connections + 1;
  const wanted = range(victim.sent + 1, last);
  if (action === 'server-scribble') {
    // Random words hit the waiting events, too: one whose header cannot be is left out, one whose payload was hit has any id. The others come, in order.
    const intact = ids.filter((id) => wanted.includes(id));
    t.deepEqual(
      intact,
      wanted.filter((id) => intact.includes(id)),
    );
    t.true(ids.length <= wanted.length, `${ids.length} events came of ${wanted.length}`);
  } else {
    // What the hostile one was given in a connection it may have released; then the rest comes, in order.
    t.deepEqual(ids, hasConnected ? wanted.slice(-ids.length) : wanted);
  }
  t.deepEqual(ids.slice(-5), wanted.slice(-5));
  victim.sent = last;
  await sidecar.kill();
  await app.next('disconnected');
  await checkResources(t, app.pid, start);
  app.signal('SIGSTOP');
}
