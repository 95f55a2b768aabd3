import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { until } from '../helpers/deadline.js';
import { type FlowClient, FlowSuite } from './fixtures/flow-suite.js';

// A sidecar that is woken at once when it is told to, and looks by itself for nobody.
const suite = new FlowSuite({ wait: 'park', lingerMs: 0 });

/** Waits until the sidecar sleeps, i.e. an event rings again. */
async function isAsleep(client: FlowClient): Promise<void> {
  await client.call('echo', 1, { timeout: 20_000 });
  await client.flush({ timeout: 20_000 });
  await sleep(150);
}

/** Doorbells that `send` costs, a turn later. */
async function bells(client: FlowClient, send: () => void): Promise<number> {
  const before = client.stats().doorbells;
  send();
  await sleep(1);
  return client.stats().doorbells - before;
}

const client = async (t: Parameters<FlowSuite['connect']>[0]): Promise<FlowClient> => {
  const connected = await suite.connect(t, 'shm', { ringBytes: { toServer: 65_536 }, wait: 'park' });
  await isAsleep(connected);
  return connected;
};

test.serial('shm: an event that may linger wakes nobody; any other one does, and takes it along', async (t) => {
  const app = await client(t);
  t.is(await bells(app, () => app.send('lateNote', 'late')), 0);
  t.is(await bells(app, () => app.send('lateNote', 'later')), 0);
  t.is(await bells(app, () => app.send('note', 3)), 1);
  t.deepEqual(await suite.heard(3), ['late', 'later', 3]);
});

test.serial('shm: a call, and a flush, take along what lingers', async (t) => {
  const app = await client(t);
  app.send('lateNote', 'before a call');
  t.is(await app.call('echo', 1, { timeout: 20_000 }), 1);
  t.deepEqual(await suite.heard(1), ['before a call']);
  await isAsleep(app);
  app.send('lateNote', 'before a flush');
  await app.flush({ timeout: 20_000 });
  t.deepEqual(await suite.heard(1), ['before a flush']);
});

test.serial('shm: what lingers wakes the sidecar in the end, once for all of it', async (t) => {
  const app = await client(t);
  const before = app.stats().doorbells;
  for (let i = 0; i < 10; i++) app.send('soonNote', `soon ${i}`);
  app.send('lateNote', 'late');
  t.is((await suite.heard(11)).length, 11);
  t.is(app.stats().doorbells - before, 1);
});

test.serial('shm: of two linger times the shorter one counts, whichever comes first', async (t) => {
  const app = await client(t);
  app.send('lateNote', 'late');
  app.send('soonNote', 'soon');
  t.deepEqual(await suite.heard(2), ['late', 'soon']);
  await isAsleep(app);
  app.send('soonNote', 'soon');
  app.send('lateNote', 'late');
  t.deepEqual(await suite.heard(2), ['soon', 'late']);
});

test.serial('shm: when its time has come, nobody is woken for what was read meanwhile', async (t) => {
  const app = await client(t);
  const before = app.stats().doorbells;
  app.send('soonNote', 'soon');
  app.send('note', 1);
  t.deepEqual(await suite.heard(2), ['soon', 1]);
  await sleep(100);
  t.is(app.stats().doorbells - before, 1);
});

test.serial('shm: a ring that is half full wakes the sidecar, whatever may linger', async (t) => {
  const app = await client(t);
  const before = app.stats().doorbells;
  let sent = 0;
  while (app.stats().bufferedBytes <= 32_000) {
    app.send('lateNote', 'x'.repeat(1000));
    sent++;
  }
  await sleep(1);
  t.is(app.stats().doorbells - before, 0);
  app.send('lateNote', 'x'.repeat(1000));
  t.is((await suite.heard(sent + 1)).length, sent + 1);
  t.is(app.stats().doorbells - before, 1);
});

test.serial('shm: a batch of events that may linger does so as well, one with another event does not', async (t) => {
  const app = await client(t);
  const late = (): void => {
    for (let i = 0; i < 5; i++) app.send('lateNote', `late ${i}`);
  };
  t.is(await bells(app, () => app.batch(late)), 0);
  const both = (): void => {
    late();
    app.send('note', 1);
  };
  t.is(await bells(app, () => app.batch(both)), 1);
  t.is((await suite.heard(11)).length, 11);
});

test.serial('socket: an event that may linger is handed to the kernel at once, because only there it is safe', async (t) => {
  const app = await suite.connect(t, 'socket');
  await app.call('echo', 1);
  app.send('lateNote', 'late');
  await until('it was heard', async () => (await suite.sidecar.ask<unknown[]>('takeHeard')).includes('late'));
});
