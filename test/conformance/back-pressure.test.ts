import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { rejectsAborted } from '../helpers/abort.js';
import { inTime, until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { connectFlow, type FlowClient, FlowSuite, openFlow, startFlowSidecar } from './fixtures/flow-suite.js';
import { takeHeard } from './fixtures/suite.js';

const suite = new FlowSuite();
const RING = 65_536;
const SMALL = { ringBytes: { toServer: RING } };

/** Sends until nothing more is accepted. Returns how many were. */
function fill(client: FlowClient, length = 1000): number {
  let count = 0;
  while (client.send('text', 'x'.repeat(length))) count++;
  return count;
}

/** The ring is full, and stays so until the sidecar is told to release. */
async function fullClient(client: FlowClient): Promise<number> {
  client.send('hold');
  const count = fill(client);
  // What is in the ring was read: nothing moves any more.
  await client.call('echo', 'read').catch(() => {});
  return count;
}

function drains(client: FlowClient): { count: number } {
  const seen = { count: 0 };
  client.on('drain', () => seen.count++);
  return seen;
}

/** Some turns of the event loops of both sides. */
async function turns(client: FlowClient): Promise<void> {
  for (let i = 0; i < 3; i++) await client.call('echo', i, { timeout: 20_000 });
}

suite.over('a full ring refuses events, says so, and tells once when there is room again', async (t, transport) => {
  const client = await suite.connect(t, transport, SMALL);
  const seen = drains(client);
  t.false(client.needsDrain);
  client.send('hold');
  const count = fill(client);
  t.true(client.needsDrain);
  t.false(client.send('text', 'x'.repeat(1000)));
  t.is(client.stats().eventsDropped, 2);
  await sleep(20);
  t.is(seen.count, 0);
  await suite.sidecar.ask('release');
  await until('drain', () => seen.count > 0);
  t.false(client.needsDrain);
  t.true(client.send('text', 'x'.repeat(1000)));
  await client.flush({ timeout: 20_000 });
  t.is(seen.count, 1);
  t.is((await suite.heard(count + 1)).length, count + 1);
});

suite.over('above the high-water mark events are accepted, and drain tells when it is below again', async (t, transport) => {
  const client = await suite.connect(t, transport, { ...SMALL, highWaterMark: 10_000 });
  const seen = drains(client);
  client.send('hold');
  t.true(client.send('text', 'x'.repeat(5000)));
  t.false(client.needsDrain);
  t.true(client.send('text', 'x'.repeat(5000)));
  t.true(client.needsDrain);
  t.true(client.send('text', 'x'.repeat(5000)));
  t.is(client.stats().eventsDropped, 0);
  await turns(client);
  t.is(seen.count, 0);
  await suite.sidecar.ask('release');
  await until('drain', () => seen.count === 1);
  t.false(client.needsDrain);
  t.true(client.bufferedBytes <= 10_000);
  await suite.heard(3);
});

suite.over('below the high-water mark nobody hears of drain', async (t, transport) => {
  const client = await suite.connect(t, transport, SMALL);
  const seen = drains(client);
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 20; i++) client.send('text', 'x'.repeat(1000));
    t.false(client.needsDrain);
    await client.flush({ timeout: 20_000 });
  }
  await turns(client);
  t.is(seen.count, 0);
  await suite.heard(200);
});

suite.over('drain means that the longest event which was refused fits, wherever the mark is', async (t, transport) => {
  const client = await suite.connect(t, transport, { ...SMALL, highWaterMark: RING });
  const seen = drains(client);
  client.send('hold');
  for (let i = 0; i < 10; i++) client.send('text', 'x'.repeat(1000));
  client.send('hold');
  fill(client);
  t.false(client.send('text', 'x'.repeat(40_000)));
  t.false(client.send('text', 'x'.repeat(1000)));
  const before = client.bufferedBytes;
  await turns(client).catch(() => {});
  t.is(seen.count, 0, 'nothing has moved');
  await suite.sidecar.ask('releaseOne');
  await until('a part is free', () => client.bufferedBytes < before - 9000);
  await turns(client);
  t.is(seen.count, 0, 'the long one would not fit yet');
  t.true(client.needsDrain);
  await suite.sidecar.ask('release');
  await until('drain', () => seen.count === 1);
  t.true(client.send('text', 'x'.repeat(40_000)));
  await client.flush({ timeout: 20_000 });
  await suite.heardSoFar();
});

suite.over('bufferedBytes counts the records that were not released', async (t, transport) => {
  const client = await suite.connect(t, transport, SMALL);
  t.is(client.bufferedBytes, 0);
  client.send('hold');
  const empty = client.bufferedBytes;
  t.is(empty, 16);
  client.send('text', 'x'.repeat(100));
  // 102 bytes of MessagePack, 16 of header, in steps of 8.
  t.is(client.bufferedBytes, empty + 120);
  t.is(client.stats().bufferedBytes, client.bufferedBytes);
  t.is(client.stats().ringBytes, RING);
  await turns(client);
  t.true(client.bufferedBytes >= empty + 120);
  await suite.sidecar.ask('release');
  await client.flush({ timeout: 20_000 });
  t.is(client.bufferedBytes, 0);
  client.send('note', 1);
  await client.close();
  t.is(client.bufferedBytes, 0);
  await suite.heard(2);
});

suite.over('sendWhenFree accepts at once when there is room, and waits in order when there is none', async (t, transport) => {
  const client = await suite.connect(t, transport, SMALL);
  await client.sendWhenFree('text', 'at once');
  client.send('hold');
  for (let i = 0; i < 5; i++) client.send('text', 'x'.repeat(1000));
  client.send('hold');
  const filled = 5 + fill(client);
  const order: number[] = [];
  const sending = [30_000, 10, 20_000, 11, 12].map((length) =>
    client.sendWhenFree('text', 'x'.repeat(length), { timeout: 20_000 }).then(() => order.push(length)),
  );
  await suite.sidecar.ask('releaseOne');
  await turns(client);
  t.deepEqual(order, [], 'what would fit does not overtake what does not');
  await suite.sidecar.ask('release');
  await Promise.all(sending);
  t.deepEqual(order, [30_000, 10, 20_000, 11, 12]);
  await client.flush({ timeout: 20_000 });
  t.deepEqual((await suite.heard(filled + 6)).slice(filled + 1), [30_000, 10, 20_000, 11, 12]);
  t.is(client.stats().eventsSent, filled + 8);
});

suite.over(
  'sendWhenFree gives up after its timeout, on its signal and on close, and does not hold up others then',
  async (t, transport) => {
    const client = await suite.connect(t, transport, SMALL);
    client.send('hold');
    for (let i = 0; i < 5; i++) client.send('text', 'x'.repeat(1000));
    client.send('hold');
    fill(client);
    const controller = new AbortController();
    const late = client.sendWhenFree('text', 'x'.repeat(30_000), { timeout: 30 });
    const aborted = client.sendWhenFree('text', 'x'.repeat(30_000), { signal: controller.signal });
    let isThrough = false;
    const small = client.sendWhenFree('note', 1).then(() => {
      isThrough = true;
    });
    await t.throwsAsync(late, { code: 'ERR_PILLION_TIMEOUT', message: /room for event "text" within 30 ms/ });
    await suite.sidecar.ask('releaseOne');
    await turns(client);
    t.false(isThrough);
    controller.abort();
    await rejectsAborted(t, aborted);
    await inTime('the small one is through', small);
    await rejectsAborted(t, client.sendWhenFree('note', 2, { signal: AbortSignal.abort() }));
    const closing = client.sendWhenFree('text', 'x'.repeat(30_000));
    await client.close();
    await t.throwsAsync(closing, { code: 'ERR_PILLION_CLOSED' });
    await t.throwsAsync(client.sendWhenFree('note', 3), { code: 'ERR_PILLION_CLOSED' });
    await suite.sidecar.ask('release');
    await until('the note was heard', async () => (await suite.sidecar.ask<unknown[]>('takeHeard')).includes(1));
  },
);

suite.over('an event that can never be sent rejects at once, also behind others that wait', async (t, transport) => {
  const client = await suite.connect(t, transport, { ...SMALL, maxMessageBytes: 1_000_000 });
  const filled = await fullClient(client);
  const waiting = client.sendWhenFree('note', 5, { timeout: 20_000 });
  await t.throwsAsync(client.sendWhenFree('text', 'x'.repeat(2_000_000)), { code: 'ERR_PILLION_TOO_LARGE' });
  await t.throwsAsync(client.sendWhenFree('note', (() => 1) as unknown as number), { code: 'ERR_PILLION_ENCODE' });
  await t.throwsAsync(client.sendWhenFree('nowhere' as 'note', 1), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  await t.throwsAsync(client.sendWhenFree('echo' as 'note', 1), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  await t.throwsAsync(client.sendWhenFree('note', 1, { timeout: -1 }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  await t.throwsAsync(client.sendWhenFree('text', 'x'.repeat(RING)), { code: 'ERR_PILLION_TOO_LARGE' });
  await suite.sidecar.ask('release');
  await waiting;
  await client.flush({ timeout: 20_000 });
  t.is((await suite.heard(filled + 1)).at(-1), 5);
});

suite.over('without a sidecar sendWhenFree waits for one, in order', async (t, transport) => {
  const path = socketPath();
  const client = openFlow(t, path, transport, SMALL);
  const seen = drains(client);
  const filled = fill(client);
  await t.throwsAsync(client.sendWhenFree('note', 0, { timeout: 20 }), { code: 'ERR_PILLION_TIMEOUT', message: /ENOENT/ });
  const sending = Promise.all([1, 2, 3].map((number) => client.sendWhenFree('note', number)));
  const sidecar = await startFlowSidecar(path);
  t.teardown(() => sidecar.stop());
  await sending;
  await client.flush({ timeout: 20_000 });
  t.deepEqual((await takeHeard(sidecar, filled + 3)).slice(filled), [1, 2, 3]);
  t.is(seen.count, 1);
});

suite.over(
  'when a killed sidecar leaves room, because its calls are over, those who wait for it need no successor',
  async (t, transport) => {
    const path = socketPath();
    const sidecar = await startFlowSidecar(path);
    t.teardown(() => sidecar.stop());
    const client = await connectFlow(t, path, transport, SMALL);
    const seen = drains(client);
    sidecar.signal('SIGSTOP');
    const calls = Array.from({ length: 6 }, () =>
      client.call('echo', 'x'.repeat(10_000), { timeout: 60_000 }).catch((error) => error.code),
    );
    const filled = fill(client, 100);
    const sending = client.sendWhenFree('text', 'x'.repeat(30_000), { timeout: 20_000 });
    await sidecar.stop();
    await sending;
    t.is(client.status().state, 'connecting');
    t.deepEqual(await Promise.all(calls), Array(6).fill('ERR_PILLION_PEER_DIED'));
    await until('drain', () => seen.count === 1 || client.bufferedBytes > RING / 2);
    const next = await startFlowSidecar(path);
    t.teardown(() => next.stop());
    await client.flush({ timeout: 20_000 });
    t.is((await takeHeard(next, filled + 1)).at(-1), 30_000);
  },
);

suite.over('a killed sidecar does not lose what sendWhenFree was told is accepted', async (t, transport) => {
  const path = socketPath();
  const sidecar = await startFlowSidecar(path);
  t.teardown(() => sidecar.stop());
  const client = await connectFlow(t, path, transport, SMALL);
  client.send('hold');
  const filled = fill(client);
  const sending = Promise.all([1, 2, 3].map((number) => client.sendWhenFree('note', number)));
  await turns(client).catch(() => {});
  await sidecar.stop();
  const next = await startFlowSidecar(path);
  t.teardown(() => next.stop());
  await until('the successor holds it too', async () => (await next.ask<{ eventsHandled: number }>('stats')).eventsHandled > filled);
  await next.ask('release');
  await sending;
  await client.flush({ timeout: 20_000 });
  t.deepEqual((await takeHeard(next, filled + 3)).slice(-3), [1, 2, 3]);
});

suite.over('an event whose overflow is "wait" blocks its sender until there is room', async (t, transport) => {
  const client = await suite.connect(t, transport, SMALL);
  client.send('holdFor', 100);
  const filled = fill(client);
  const refused = client.stats().eventsDropped;
  t.true(client.send('waitingNote', 'x'.repeat(2000)));
  t.is(client.stats().eventsDropped, refused);
  client.send('holdFor', 100);
  const again = fill(client);
  // Somebody who waits for the same space must not keep the news from us.
  const flushed = client.flush({ timeout: 60_000 });
  t.true(client.send('waitingNote', 'x'.repeat(2001)));
  await flushed;
  const heard = await suite.heard(filled + again + 2);
  t.is(heard[filled], 2000);
  t.is(heard.at(-1), 2001);
});

suite.over(
  'an event whose overflow is "wait" is dropped and counted when its time is over, and nothing else changes',
  async (t, transport) => {
    const client = await suite.connect(t, transport, SMALL);
    client.send('hold');
    const filled = fill(client);
    const { eventsDropped } = client.stats();
    t.false(client.send('briefNote', 'x'.repeat(2000)));
    t.is(client.stats().eventsDropped, eventsDropped + 1);
    t.true(client.needsDrain);
    const drained = inTime('drain', once(client, 'drain'));
    await suite.sidecar.ask('release');
    await drained;
    t.true(client.send('briefNote', 'x'.repeat(2001)));
    await client.flush({ timeout: 20_000 });
    t.deepEqual((await suite.heard(filled + 1)).slice(filled), [2001]);
  },
);

suite.over('without a sidecar, or with a dead one, nobody waits for room that will not come', async (t, transport) => {
  const path = socketPath();
  const early = openFlow(t, path, transport, SMALL);
  fill(early);
  t.false(early.send('waitingNote', 'x'.repeat(2000)));
  const sidecar = await startFlowSidecar(path);
  t.teardown(() => sidecar.stop());
  const client = await connectFlow(t, path, transport, SMALL);
  await early.close();
  await sidecar.ask('takeHeard');
  client.send('hold');
  fill(client);
  sidecar.signal('SIGKILL');
  // Not a turn of the event loop between the death and the attempt.
  while (existsSync(`/proc/${sidecar.pid}/stat`) && !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${sidecar.pid}/stat`, 'utf8')));
  t.is(client.status().state, 'connected');
  t.false(client.send('waitingNote', 'x'.repeat(2000)));
  t.false(client.send('briefNote', 'x'.repeat(2000)));
});

suite.over('a stopped sidecar makes a waiting sender wait, and not throw, though the kernel takes nothing more', async (t, transport) => {
  const path = socketPath();
  const sidecar = await startFlowSidecar(path);
  t.teardown(() => sidecar.stop());
  const client = await connectFlow(t, path, transport, { ringBytes: { toServer: 4 * 1024 * 1024 } });
  sidecar.signal('SIGSTOP');
  const filled = fill(client, 100_000);
  await sleep(20);
  t.false(client.send('briefNote', 'x'.repeat(200_000)));
  sidecar.signal('SIGCONT');
  t.true(client.send('waitingNote', 'x'.repeat(200_000)));
  await client.flush({ timeout: 20_000 });
  t.is((await takeHeard(sidecar, filled + 1)).at(-1), 200_000);
});

suite.over('what callSync cannot wait for is taken back, and keeps nothing pending', async (t, transport) => {
  const path = socketPath();
  const sidecar = await startFlowSidecar(path);
  t.teardown(() => sidecar.stop());
  const client = await connectFlow(t, path, transport, { ringBytes: { toServer: 4 * 1024 * 1024 } });
  sidecar.signal('SIGSTOP');
  fill(client, 100_000);
  await sleep(20);
  const error = t.throws(() => client.callSync('echo', 1, { timeout: 50 }));
  t.is((error as { code?: string }).code, transport === 'shm' ? 'ERR_PILLION_TIMEOUT' : 'ERR_PILLION_BUSY');
  t.is(client.stats().callsPending, 0);
  t.is(client.stats().callsFailed, 1);
  sidecar.signal('SIGCONT');
  t.is(await client.call('echo', 2, { timeout: 20_000 }), 2);
});
