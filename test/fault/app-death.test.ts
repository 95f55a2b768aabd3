import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  checkExactlyOnce,
  checkNoChildren,
  checkResources,
  place,
  readLedger,
  resourcesOf,
  startApp,
  startSidecar,
  until,
} from '../fixtures/node/program.js';

/** What the sidecar does with what a killed app has left. */

test.afterEach.always('no child is left', checkNoChildren);

test.serial('handles everything that an app had sent when it killed itself, then reports the disconnect', async (t) => {
  const { path, ledger } = place(t);
  const sidecar = await startSidecar(t, { path, ledger: ledger() });
  const before = resourcesOf(sidecar.pid);
  let handled = 0;
  // One event in a sleeping sidecar's ring; a turn's worth; a full ring.
  for (const count of [1, 2, 1000, 100_000]) {
    const accepted = ledger(`accepted-${count}`);
    const app = await startApp(t, { path, accepted });
    await app.ask('ready');
    app.tell('sendAndDie', { count });
    t.is((await app.end()).signal, 'SIGKILL');
    t.is((await sidecar.next('disconnect'))['error'], null);
    const sent = readFileSync(accepted, 'utf8').trim().split('\n').length;
    const ids = readLedger(ledger()).slice(handled);
    t.deepEqual(
      ids.map(({ id }) => id),
      Array.from({ length: sent }, (_, i) => i + 1),
      `${count} events`,
    );
    handled += sent;
  }
  await checkResources(t, sidecar.pid, before);
});

test.serial('a stopped sidecar still gets what an app had sent before it was killed', async (t) => {
  const { path, ledger } = place(t);
  const sidecar = await startSidecar(t, { path, ledger: ledger() });
  const app = await startApp(t, { path });
  await app.ask('ready');
  sidecar.signal('SIGSTOP');
  const last = await app.ask<number>('send', { count: 500 });
  await app.kill();
  sidecar.signal('SIGCONT');
  await sidecar.next('disconnect');
  checkExactlyOnce(t, [readLedger(ledger())], last);
});

test.serial('an app killed at random in traffic loses nothing that send had accepted', async (t) => {
  const { path, ledger } = place(t);
  const sidecar = await startSidecar(t, { path });
  const before = resourcesOf(sidecar.pid);
  for (let round = 0; round < 5; round++) {
    const accepted = ledger(`accepted-${round}`);
    const handled = ledger(`handled-${round}`);
    const own = await startSidecar(t, { path: `${path}.${round}`, ledger: handled });
    const app = await startApp(t, { path: `${path}.${round}`, accepted });
    await app.ask('ready');
    await app.ask('start', { perTurn: 7 });
    await until('traffic flows', () => readLedger(handled).length > 300);
    await app.kill();
    await own.next('disconnect');
    const sent = readFileSync(accepted, 'utf8').trim().split('\n').length;
    const ids = readLedger(handled).map(({ id }) => id);
    // The kill may have come between send and the note of it.
    t.true(ids.length === sent || ids.length === sent + 1, `${sent} accepted, ${ids.length} handled`);
    t.deepEqual(
      ids,
      ids.map((_, i) => i + 1),
    );
    await own.kill();
  }
  await checkResources(t, sidecar.pid, before);
});

for (const transport of ['auto', 'socket'] as const) {
  test.serial(`${transport}: handlers at work see their signal aborted when the app is killed`, async (t) => {
    const { path } = place(t);
    const sidecar = await startSidecar(t, { path });
    const before = resourcesOf(sidecar.pid);
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    app.tell('call', { name: 'never', value: 1 });
    await until('the call has arrived', async () => (await sidecar.ask<{ callsHandled: number }>('stats')).callsHandled === 1);
    await app.kill();
    const { aborted } = (await sidecar.next('aborted')) as { aborted: { code: string } };
    t.is(aborted.code, 'ERR_PILLION_PEER_DIED');
    await sidecar.next('disconnect');
    t.is((await sidecar.ask<{ clients: number }>('stats')).clients, 0);
    await checkResources(t, sidecar.pid, before);
  });
}

test.serial('both killed: only a stale socket file is left, and the next pair works', async (t) => {
  const { path } = place(t);
  for (let round = 0; round < 3; round++) {
    const sidecar = await startSidecar(t, { path });
    const app = await startApp(t, { path });
    await app.ask('ready');
    await app.ask('start', { perTurn: 10, calls: true });
    await until('calls are answered', async () => (await app.ask<{ calls: number }>('progress')).calls > 50);
    sidecar.signal('SIGKILL');
    app.signal('SIGKILL');
    await sidecar.ended;
    await app.ended;
  }
  await startSidecar(t, { path });
  const app = await startApp(t, { path });
  t.is(await app.ask('call', { name: 'echo', value: 'alive' }), 'alive');
});
