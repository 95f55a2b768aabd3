import test from 'ava';
import {
  checkLedgers,
  checkNoChildren,
  checkResources,
  type Program,
  place,
  readLedger,
  resourcesOf,
  startApp,
  startSidecar,
  until,
} from '../fixtures/node/program.js';

/** What becomes of messages when the sidecar is absent, killed, stopped or restarted. */

test.afterEach.always('no child is left', checkNoChildren);

const transports = ['auto', 'socket'] as const;
const nameOf = { auto: 'shm', socket: 'socket' };

/** Waits until a sidecar has handled something of the traffic. */
async function untilHandled(ledger: string, count: number): Promise<void> {
  await until(`${count} events are in ${ledger}`, () => readLedger(ledger).length >= count);
}

async function lastAccepted(app: Program): Promise<number> {
  const { last } = await app.ask<{ last: number }>('stop');
  await app.ask('flush');
  return last;
}

for (const transport of transports) {
  const over = `over ${nameOf[transport]}`;

  test.serial(`${over}: hands over what was sent before any sidecar was there, in order and without a mark`, async (t) => {
    const { path, ledger } = place(t);
    const app = await startApp(t, { path, transport });
    t.is(await app.ask('send', { count: 500 }), 500);
    const call = app.ask('call', { name: 'echo', value: 'early' });
    const sidecar = await startSidecar(t, { path, ledger: ledger() });
    t.is(await call, 'early');
    await app.ask('flush');
    t.is(checkLedgers(t, [readLedger(ledger())], 500), 0);
    t.deepEqual(
      readLedger(ledger()).filter(({ redelivered }) => redelivered),
      [],
    );
    t.is((await sidecar.next('connect'))['transport'], nameOf[transport]);
  });

  test.serial(`${over}: a sidecar killed in traffic leaves the rest to the next one, in order, repeats marked`, async (t) => {
    const { path, ledger } = place(t);
    const first = await startSidecar(t, { path, ledger: ledger('1') });
    const app = await startApp(t, { path, transport });
    await app.next('connected');
    await app.ask('start', { perTurn: 20 });
    await untilHandled(ledger('1'), 2000);
    await first.kill();
    await app.next('disconnected');
    const second = await startSidecar(t, { path, ledger: ledger('2') });
    await untilHandled(ledger('2'), 2000);
    const last = await lastAccepted(app);
    checkLedgers(t, [readLedger(ledger('1')), readLedger(ledger('2'))], last);
    const { eventsRedelivered } = await second.ask<{ eventsRedelivered: number }>('stats');
    t.is(eventsRedelivered, readLedger(ledger('2')).filter(({ redelivered }) => redelivered).length);
  });

  test.serial(`${over}: an event whose handler was at work is handled again, marked, and those before it are not`, async (t) => {
    const { path, ledger } = place(t);
    const first = await startSidecar(t, { path, ledger: ledger('1') });
    const app = await startApp(t, { path, transport });
    await app.ask('send', { count: 10 });
    await app.ask('flush');
    await app.ask('try', { name: 'slowEvent', value: { id: 11, ms: 60_000 } });
    t.is(await app.ask('call', { name: 'echo', value: 'after the event' }), 'after the event');
    await first.kill();
    await startSidecar(t, { path, ledger: ledger('2') });
    await app.ask('try', { name: 'slowEvent', value: { id: 12, ms: 1 } });
    await until('the second sidecar has handled the last event', () => readLedger(ledger('2')).some(({ id }) => id === 12));
    // The first of them sleeps for a minute, so only the second is recorded; what matters is that the ten are not there.
    t.deepEqual(
      readLedger(ledger('2')).map(({ id }) => id),
      [12],
    );
    t.is((await app.ask<{ eventsReplayed: number }>('stats')).eventsReplayed, 1);
  });

  test.serial(
    `${over}: calls in flight reject with ERR_PILLION_PEER_DIED, idempotent ones are carried out by the next sidecar`,
    async (t) => {
      const { path, ledger } = place(t);
      const first = await startSidecar(t, { path, ledger: ledger('1') });
      const app = await startApp(t, { path, transport });
      await app.next('connected');
      const started = Array.from({ length: 5 }, (_, id) => ({ id, ms: 2000 }));
      const plain = app.ask<{ error?: { code: string } }[]>('calls', { name: 'slow', values: [60_000, 60_000, 60_000] });
      const again = app.ask<{ value: { id: number; pid: number } }[]>('calls', { name: 'again', values: started });
      await untilHandled(ledger('1'), 5);
      await first.kill();
      t.deepEqual(
        (await plain).map(({ error }) => error?.code),
        ['ERR_PILLION_PEER_DIED', 'ERR_PILLION_PEER_DIED', 'ERR_PILLION_PEER_DIED'],
      );
      const second = await startSidecar(t, { path, ledger: ledger('2') });
      t.deepEqual(
        (await again).map(({ value }) => value),
        started.map(({ id }) => ({ id, pid: second.pid })),
      );
      t.is((await app.ask<{ callsPending: number }>('stats')).callsPending, 0);
    },
  );

  test.serial(`${over}: a fragmented event that its sidecar never finished is handled whole by the next one`, async (t) => {
    const { path } = place(t);
    const first = await startSidecar(t, { path });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    first.signal('SIGSTOP');
    // Two thirds of the ring: several fragments.
    t.is(await app.ask('try', { name: 'note', value: 'x'.repeat(170_000) }), 1);
    await first.kill();
    const second = await startSidecar(t, { path });
    await app.ask('flush');
    t.is((await second.ask<{ eventsHandled: number }>('stats')).eventsHandled, 1);
  });

  test.serial(
    `${over}: ten sidecars one after the other, each killed in traffic, lose nothing; the app ends with what it had`,
    async (t) => {
      const { path, ledger } = place(t);
      const app = await startApp(t, { path, transport });
      let sidecar = await startSidecar(t, { path, ledger: ledger('0') });
      await app.ask('ready');
      const before = resourcesOf(app.pid);
      await app.ask('start', { perTurn: 5 });
      for (let round = 1; round <= 9; round++) {
        await untilHandled(ledger(String(round - 1)), 200);
        await sidecar.kill();
        sidecar = await startSidecar(t, { path, ledger: ledger(String(round)) });
      }
      await untilHandled(ledger('9'), 200);
      const last = await lastAccepted(app);
      checkLedgers(
        t,
        Array.from({ length: 10 }, (_, i) => readLedger(ledger(String(i)))),
        last,
      );
      t.is((await app.ask<{ connections: number }>('stats')).connections, 10);
      await checkResources(t, app.pid, before);
    },
  );

  test.serial(`${over}: a stopped sidecar delays the app's calls and nothing else; continued, it handles everything once`, async (t) => {
    const { path, ledger } = place(t);
    const sidecar = await startSidecar(t, { path, ledger: ledger() });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    await app.ask('start', { perTurn: 1, pauseMs: 1 });
    for (let round = 0; round < 10; round++) {
      sidecar.signal('SIGSTOP');
      await t.throwsAsync(app.ask('call', { name: 'echo', value: 1, timeout: 50 }), { code: 'ERR_PILLION_TIMEOUT' });
      sidecar.signal('SIGCONT');
      t.is(await app.ask('call', { name: 'echo', value: round }), round);
    }
    const last = await lastAccepted(app);
    t.is(checkLedgers(t, [readLedger(ledger())], last), 0);
    t.is((await app.ask<{ connections: number }>('stats')).connections, 1);
  });

  test.serial(`${over}: calls that had to wait for space on either side are answered, each with its own answer`, async (t) => {
    const { path } = place(t);
    const sidecar = await startSidecar(t, { path });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    // Several times the ring, of all sizes, some in fragments.
    const values = Array.from({ length: 1500 }, (_, i) => `${i} ${'x'.repeat(i % 100 === 0 ? 90_000 : i % 700)}`);
    for (const stopped of [sidecar, app]) {
      if (stopped === sidecar) sidecar.signal('SIGSTOP');
      const answers = app.ask<{ value: string }[]>('calls', { name: 'echo', values });
      await new Promise((resolve) => setTimeout(resolve, 100));
      stopped.signal(stopped === sidecar ? 'SIGCONT' : 'SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, 100));
      app.signal('SIGCONT');
      const wrong = (await answers).findIndex(({ value }, i) => value !== values[i]);
      t.is(wrong, -1, `answer ${wrong}`);
    }
    t.is((await app.ask<{ connections: number }>('stats')).connections, 1);
  });

  test.serial(`${over}: close() of a client does not wait for a stopped sidecar, which gets everything when it goes on`, async (t) => {
    const { path, ledger } = place(t);
    const sidecar = await startSidecar(t, { path, ledger: ledger() });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    sidecar.signal('SIGSTOP');
    const last = await app.ask<number>('send', { count: 300 });
    const call = t.throwsAsync(app.ask('call', { name: 'echo', value: 1 }), { code: 'ERR_PILLION_CLOSED' });
    await app.ask('close');
    await call;
    app.tell('letGo');
    t.deepEqual(await app.end(), { code: 0, signal: null }, app.stderr);
    sidecar.signal('SIGCONT');
    await sidecar.next('disconnect');
    t.is(checkLedgers(t, [readLedger(ledger())], last), 0);
  });

  test.serial(`${over}: close() of a sidecar does not wait for a stopped app longer than it was told`, async (t) => {
    const { path, ledger } = place(t);
    const sidecar = await startSidecar(t, { path, ledger: ledger('1') });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    await app.ask('start', { perTurn: 5, calls: true });
    await untilHandled(ledger('1'), 100);
    app.signal('SIGSTOP');
    await sidecar.ask('close', { timeout: 500 });
    sidecar.tell('letGo');
    t.is((await sidecar.end()).code, 0, sidecar.stderr);
    app.signal('SIGCONT');
    await startSidecar(t, { path, ledger: ledger('2') });
    await untilHandled(ledger('2'), 100);
    const last = await lastAccepted(app);
    checkLedgers(t, [readLedger(ledger('1')), readLedger(ledger('2'))], last);
  });

  test.serial(`${over}: a stopped app is waited for; continued, it goes on where it was`, async (t) => {
    const { path, ledger } = place(t);
    await startSidecar(t, { path, ledger: ledger() });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    await app.ask('start', { perTurn: 5, pauseMs: 1, calls: true });
    for (let round = 0; round < 10; round++) {
      app.signal('SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, 30));
      app.signal('SIGCONT');
      t.is(await app.ask('call', { name: 'echo', value: round }), round);
    }
    const { failed } = await app.ask<{ failed: unknown[] }>('progress');
    t.is(failed as unknown, 0);
    const last = await lastAccepted(app);
    t.is(checkLedgers(t, [readLedger(ledger())], last), 0);
  });
}

test.serial('a sidecar that is stopped for ever bounds the memory of its app: what does not fit is dropped and counted', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, { path });
  const app = await startApp(t, { path });
  await app.ask('ready');
  sidecar.signal('SIGSTOP');
  const count = 200_000;
  const taken = await app.ask<number>('try', { name: 'note', value: 'some text', count });
  t.true(taken > 0 && taken < count);
  const { eventsSent, eventsDropped, bufferedBytes, ringBytes } = await app.ask<Record<string, number>>('stats');
  t.deepEqual({ eventsSent, eventsDropped }, { eventsSent: taken, eventsDropped: count - taken });
  t.true((bufferedBytes as number) <= (ringBytes as number));
  await t.throwsAsync(app.ask('call', { name: 'echo', value: 1, timeout: 100 }), { code: 'ERR_PILLION_TIMEOUT' });
  await t.throwsAsync(app.ask('callSync', { name: 'echo', value: 1, timeout: 100 }), { code: 'ERR_PILLION_TIMEOUT' });
  sidecar.signal('SIGCONT');
  await app.ask('flush');
  t.is((await sidecar.ask<{ eventsHandled: number }>('stats')).eventsHandled, taken);
});

test.serial('a blocking call ends with ERR_PILLION_PEER_DIED when the sidecar is killed', async (t) => {
  const { path } = place(t);
  for (const transport of transports) {
    const sidecar = await startSidecar(t, { path });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    const call = app.ask('callSync', { name: 'never', timeout: 15_000 });
    await until('the call has arrived', async () => (await sidecar.ask<{ callsHandled: number }>('stats')).callsHandled === 1);
    await sidecar.kill();
    await t.throwsAsync(call, { code: 'ERR_PILLION_PEER_DIED' }, nameOf[transport]);
    await app.kill();
  }
});

test.serial('fifty clients come back to a restarted sidecar and lose nothing', async (t) => {
  const { path, ledger } = place(t);
  const first = await startSidecar(t, { path });
  const { connect } = await import('../../src/index.js');
  const { fault } = await import('../fixtures/node/contract.js');
  const before = resourcesOf(process.pid);
  const clients = Array.from({ length: 50 }, () => connect(fault, { path, ringBytes: { toServer: 16384, toClient: 4096 } }));
  try {
    await Promise.all(clients.map((client) => client.ready({ timeout: 20_000 })));
    await first.kill();
    for (const client of clients) for (let id = 1; id <= 20; id++) t.true(client.send('log', id));
    await startSidecar(t, { path, ledger: ledger() });
    await Promise.all(clients.map((client) => client.flush({ timeout: 20_000 })));
    t.deepEqual(
      clients.map((client) => client.stats().connections),
      clients.map(() => 2),
    );
    const byClient = groups(ledger());
    t.is(byClient.size, 50);
    for (const ids of byClient.values()) {
      t.deepEqual(
        ids,
        Array.from({ length: 20 }, (_, i) => i + 1),
      );
    }
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
  await checkResources(t, process.pid, before);
});

function groups(file: string): Map<string, number[]> {
  const byClient = new Map<string, number[]>();
  for (const { id, client } of readLedger(file)) byClient.set(client, [...(byClient.get(client) ?? []), id]);
  return byClient;
}
