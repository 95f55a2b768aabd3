import { existsSync, statSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { native } from '../../src/native.js';
import { encodeHandshake, HELLO } from '../../src/protocol/handshake.js';
import { failing } from '../fixtures/node/calls.js';
import {
  checkExactlyOnce,
  checkLedgers,
  checkNoChildren,
  checkResources,
  type Program,
  place,
  readLedger,
  resourcesOf,
  runNode,
  seeded,
  startApp,
  startSidecar,
  until,
} from '../fixtures/node/program.js';

/** A sidecar leaves and another comes, on purpose: nothing is lost, nothing is doubled, no call fails. */

test.afterEach.always('no child is left', checkNoChildren);

async function stopTraffic(app: Program): Promise<{ last: number; calls: number; failed: unknown[] }> {
  const stopped = await app.ask<{ last: number; calls: number; failed: unknown[] }>('stop');
  await app.ask('flush');
  return stopped;
}

for (const transport of ['auto', 'socket'] as const) {
  const over = `over ${transport === 'auto' ? 'shm' : 'socket'}`;

  test.serial(`${over}: close() under load hands everything that was not taken to the next sidecar`, async (t) => {
    const { path, ledger } = place(t);
    let sidecar = await startSidecar(t, { path, ledger: ledger('0') });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    const before = resourcesOf(app.pid);
    await app.ask('start', { perTurn: 30, calls: true });
    for (let round = 1; round <= 4; round++) {
      await until('traffic flows', () => readLedger(ledger(String(round - 1))).length > 1000);
      await sidecar.ask('close');
      t.false(existsSync(path), 'the path is removed');
      sidecar.tell('letGo');
      t.is((await sidecar.end()).code, 0, sidecar.stderr);
      sidecar = await startSidecar(t, { path, ledger: ledger(String(round)) });
    }
    await until('traffic flows', () => readLedger(ledger('4')).length > 1000);
    const { last, failed } = await stopTraffic(app);
    t.deepEqual(failed, []);
    checkExactlyOnce(
      t,
      [0, 1, 2, 3, 4].map((round) => readLedger(ledger(String(round)))),
      last,
    );
    await checkResources(t, app.pid, before);
  });

  test.serial(`${over}: a takeover under load leaves no moment without a sidecar and loses and doubles nothing`, async (t) => {
    const { path, ledger } = place(t);
    let sidecar = await startSidecar(t, { path, ledger: ledger('0') });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    const before = resourcesOf(app.pid);
    await app.ask('start', { perTurn: 30, calls: true });
    for (let round = 1; round <= 4; round++) {
      await until('traffic flows', () => readLedger(ledger(String(round - 1))).length > 1000);
      const next = await startSidecar(t, { path, ledger: ledger(String(round)), takeover: true });
      await sidecar.next('takenOver');
      sidecar.tell('letGo');
      t.is((await sidecar.end()).code, 0, sidecar.stderr);
      t.true(statSync(path).isSocket(), 'the old sidecar leaves the new one its socket');
      sidecar = next;
    }
    await until('traffic flows', () => readLedger(ledger('4')).length > 1000);
    const { last, failed } = await stopTraffic(app);
    t.deepEqual(failed, []);
    checkExactlyOnce(
      t,
      [0, 1, 2, 3, 4].map((round) => readLedger(ledger(String(round)))),
      last,
    );
    await checkResources(t, app.pid, before);
    // The lock went along: a further server without takeover is refused.
    const third = runNode(t, 'sidecar', { path });
    t.is(((await third.next('failed'))['failed'] as { code: string }).code, 'ERR_PILLION_ADDRESS_IN_USE');
  });

  test.serial(`${over}: close() lets handlers at work finish and sends their answers`, async (t) => {
    const { path, ledger } = place(t);
    const sidecar = await startSidecar(t, { path, ledger: ledger('1') });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    await app.ask('try', { name: 'slowEvent', value: { id: 1, ms: 300 } });
    const calls = app.ask<{ value?: number }[]>('calls', { name: 'slow', values: [100, 200, 300] });
    await until('they have arrived', async () => (await sidecar.ask<{ callsHandled: number }>('stats')).callsHandled === 3);
    const closing = sidecar.ask('close');
    t.deepEqual(
      (await calls).map(({ value }) => value),
      [100, 200, 300],
    );
    await closing;
    await startSidecar(t, { path, ledger: ledger('2') });
    await app.ask('try', { name: 'slowEvent', value: { id: 2, ms: 1 } });
    await app.ask('flush');
    checkExactlyOnce(t, [readLedger(ledger('1')), readLedger(ledger('2'))], 2);
  });

  test.serial(`${over}: what close() may not wait for is cut off: calls reject, events are handled again, marked`, async (t) => {
    const { path, ledger } = place(t);
    const sidecar = await startSidecar(t, { path, ledger: ledger('1') });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    await app.ask('try', { name: 'slowEvent', value: { id: 1, ms: 60_000 } });
    const call = app.ask('call', { name: 'never', timeout: 15_000 });
    await until('it has arrived', async () => (await sidecar.ask<{ callsHandled: number }>('stats')).callsHandled === 1);
    const rejected = t.throwsAsync(call, { code: 'ERR_PILLION_PEER_DIED' });
    await sidecar.ask('close', { timeout: 100 });
    await rejected;
    const next = await startSidecar(t, { path });
    await app.ask('call', { name: 'echo', value: 1 });
    await until('the event is there again', async () => (await next.ask<{ eventsHandled: number }>('stats')).eventsHandled === 1);
    t.is((await next.ask<{ eventsRedelivered: number }>('stats')).eventsRedelivered, 1);
  });

  test.serial(`${over}: a sidecar killed while it finishes its work leaves that to the next one, marked, and calls reject`, async (t) => {
    const { path, ledger } = place(t);
    const sidecar = await startSidecar(t, { path, ledger: ledger('1') });
    const app = await startApp(t, { path, transport });
    await app.ask('ready');
    await app.ask('try', { name: 'slowEvent', value: { id: 1000, ms: 60_000 } });
    await app.ask('send', { count: 10 });
    const call = app.ask('call', { name: 'never', timeout: 15_000 });
    await until('it has arrived', async () => (await sidecar.ask<{ callsHandled: number }>('stats')).callsHandled === 1);
    const rejected = t.throwsAsync(call, { code: 'ERR_PILLION_PEER_DIED' });
    sidecar.tell('close');
    await sidecar.ask('stats');
    await sidecar.kill();
    await rejected;
    await startSidecar(t, { path, ledger: ledger('2') });
    await app.ask('send', { count: 10 });
    await until('everything has come', () => readLedger(ledger('2')).length >= 20);
    t.is(checkLedgers(t, [readLedger(ledger('1')), readLedger(ledger('2'))], 20), 10);
  });
}

test.serial('a successor that dies before it listens changes nothing', async (t) => {
  const { path, ledger } = place(t);
  const sidecar = await startSidecar(t, { path, ledger: ledger() });
  const app = await startApp(t, { path });
  await app.ask('ready');
  const before = resourcesOf(sidecar.pid);
  await app.ask('start', { perTurn: 5, pauseMs: 1, calls: true });
  // One that hangs up after WELCOME, one that is killed where it would rename its socket onto the path, one whose rename fails.
  await new Promise<void>((resolve, reject) => {
    const hello = {
      contract: 'fault',
      clientId: 'x',
      names: [],
      transports: ['socket' as const],
      ringBytes: [4096, 4096] as [number, number],
    };
    const socket = connectSocket(path);
    socket.on('error', reject);
    socket.on('data', () => socket.destroy());
    socket.on('close', () => resolve());
    socket.write(encodeHandshake(HELLO, { ...hello, maxMessageBytes: 0, features: [], pid: 1, runtime: 'none', takeover: true }));
  });
  const killed = runNode(t, 'sidecar', { path, takeover: true }, { env: failing({ calls: ['rename'], nth: 1, does: 'kill' }) });
  t.is((await killed.end()).signal, 'SIGKILL', killed.stderr);
  const failed = runNode(t, 'sidecar', { path, takeover: true }, { env: failing({ calls: ['rename'], nth: 1, does: 28 }) });
  const { failed: error } = (await failed.next('failed')) as { failed: { code: string; message: string } };
  t.regex(error.code, /^ERR_PILLION_/);
  await failed.kill();
  await checkResources(t, sidecar.pid, before);
  const second = runNode(t, 'sidecar', { path });
  t.is(((await second.next('failed'))['failed'] as { code: string }).code, 'ERR_PILLION_ADDRESS_IN_USE', 'the lock is still held');
  const { last, failed: failures } = await stopTraffic(app);
  t.deepEqual(failures, []);
  t.is((await app.ask<{ connections: number }>('stats')).connections, 1);
  checkExactlyOnce(t, [readLedger(ledger())], last);
  const successor = await startSidecar(t, { path, takeover: true });
  await sidecar.next('takenOver');
  await successor.next('connect');
});

test.serial('an old sidecar killed at random in its takeover loses nothing: the successor gets the rest, repeats marked', async (t) => {
  const random = seeded(t);
  const { path, ledger } = place(t);
  let sidecar = await startSidecar(t, { path, ledger: ledger('0') });
  const app = await startApp(t, { path });
  await app.ask('ready');
  await app.ask('start', { perTurn: 20 });
  const ledgers = [ledger('0')];
  for (let round = 1; round <= 12; round++) {
    await until('traffic flows', () => readLedger(ledgers.at(-1) as string).length > 200);
    ledgers.push(ledger(String(round)));
    const successor = runNode(t, 'sidecar', { path, ledger: ledgers.at(-1), takeover: true });
    // Between the start of the successor's process and the end of the old one.
    await sleep(30 + random() * 170);
    await sidecar.kill();
    await successor.next('listening');
    sidecar = successor;
  }
  await until('traffic flows', () => readLedger(ledgers.at(-1) as string).length > 200);
  const { last } = await stopTraffic(app);
  t.log(`${checkLedgers(t, ledgers.map(readLedger), last)} events were handled twice`);
});

test.serial('a takeover waits for the lock of somebody who is about to end, and no longer than for an answer', async (t) => {
  const { path } = place(t);
  const { addon } = native();
  if (addon === null) return t.fail('there is no addon');
  const lock = addon.lockFile(`${path}.lock`);
  t.true(lock >= 0);
  const impatient = runNode(t, 'sidecar', { path, takeover: true, handshakeTimeoutMs: 200 });
  t.is(((await impatient.next('failed'))['failed'] as { code: string }).code, 'ERR_PILLION_ADDRESS_IN_USE');
  const successor = runNode(t, 'sidecar', { path, takeover: true, handshakeTimeoutMs: 20_000 });
  await sleep(500);
  addon.closeDescriptor(lock);
  await successor.next('listening');
});

test.serial('a takeover of a path that nobody owns is an ordinary start', async (t) => {
  const { path } = place(t);
  const dead = await startSidecar(t, { path });
  await dead.kill();
  await startSidecar(t, { path, takeover: true });
  const app = await startApp(t, { path });
  t.is(await app.ask('call', { name: 'echo', value: 1 }), 1);
});

test.serial('a takeover of a stopped sidecar fails in time and leaves it the path', async (t) => {
  const { path } = place(t);
  const sidecar = await startSidecar(t, { path });
  sidecar.signal('SIGSTOP');
  const successor = runNode(t, 'sidecar', { path, takeover: true, handshakeTimeoutMs: 300 });
  const { failed } = (await successor.next('failed')) as { failed: { code: string } };
  t.regex(failed.code, /^ERR_PILLION_(TIMEOUT|PEER_DIED|ADDRESS_IN_USE)$/);
  sidecar.signal('SIGCONT');
  const app = await startApp(t, { path });
  t.is(await app.ask('call', { name: 'echo', value: 1 }), 1);
});

test.serial('of two successors that ask together one gets the path and the app is served', async (t) => {
  const { path, ledger } = place(t);
  const sidecar = await startSidecar(t, { path, ledger: ledger('0') });
  const app = await startApp(t, { path });
  await app.ask('ready');
  await app.ask('start', { perTurn: 5, pauseMs: 1 });
  const successors = ['1', '2'].map((name) => runNode(t, 'sidecar', { path, ledger: ledger(name), takeover: true }));
  await sidecar.next('takenOver');
  await until('both have come to an end of their start', () =>
    successors.every((successor) => successor.lines.some((line) => 'listening' in line || 'failed' in line)),
  );
  const { last } = await stopTraffic(app);
  t.is(await app.ask('call', { name: 'echo', value: 'served' }), 'served');
  const ids = ['0', '1', '2'].flatMap((name) => readLedger(ledger(name)).map(({ id }) => id));
  t.deepEqual(
    ids.sort((a, b) => a - b),
    Array.from({ length: last }, (_, i) => i + 1),
  );
});
