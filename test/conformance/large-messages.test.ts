import test from 'ava';
import { rejectsAborted } from '../helpers/abort.js';
import { digest, pattern } from '../helpers/bytes.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { connectFlow, FlowSuite, startFlowSidecar } from './fixtures/flow-suite.js';

const MIB = 1024 * 1024;
const MAX = 64 * MIB;
const suite = new FlowSuite({ maxMessageBytes: MAX, maxQueuedBytes: 8 * MIB });
const LONG = { timeout: 100_000 };
const large = { maxMessageBytes: MAX };

suite.over('64 MiB go there and back unchanged', async (t, transport) => {
  const client = await suite.connect(t, transport, large);
  const bytes = pattern(MAX);
  const answer = await client.call('echoRaw', bytes, LONG);
  t.is(answer.length, MAX);
  t.is(digest(answer), digest(bytes));
});

suite.over('one byte more than allowed fails alone, at whichever side does not allow it', async (t, transport) => {
  const client = await suite.connect(t, transport, large);
  await t.throwsAsync(client.call('echoRaw', new Uint8Array(MAX + 1), LONG), { code: 'ERR_PILLION_TOO_LARGE' });
  const eager = await suite.connect(t, transport, { maxMessageBytes: MAX + 8 });
  await t.throwsAsync(eager.call('echoRaw', new Uint8Array(MAX + 1), LONG), { code: 'ERR_PILLION_TOO_LARGE' });
  t.is(await eager.call('echo', 'still here', LONG), 'still here');
  await t.throwsAsync(async () => suite.connect(t, transport, { maxMessageBytes: 1024 * MIB + 1 }), {
    code: 'ERR_PILLION_INVALID_ARGUMENT',
  });
});

suite.over('a small call is answered before the large one that was sent first', async (t, transport) => {
  const client = await suite.connect(t, transport, large);
  const order: string[] = [];
  const upload = client.call('echoRaw', new Uint8Array(MAX), LONG).then(() => order.push('large'));
  for (let i = 0; i < 5; i++) await client.call('echo', i, LONG).then(() => order.push('small'));
  client.send('note', 1);
  await upload;
  t.deepEqual(order, ['small', 'small', 'small', 'small', 'small', 'large']);
  t.deepEqual(await suite.heard(1), [1]);
});

suite.over('large messages advance together: a shorter one does not wait for the longer one', async (t, transport) => {
  const client = await suite.connect(t, transport, large);
  const order: number[] = [];
  const send = (mib: number) => client.call('echoRaw', new Uint8Array(mib * MIB), LONG).then(() => order.push(mib));
  await Promise.all([send(48), send(2), send(1)]);
  t.is(order.at(-1), 48);
});

suite.over('cancelling, asking and granting get through while bulk waits for a slow sidecar', async (t, transport) => {
  const path = socketPath();
  const sidecar = await startFlowSidecar(path, { maxMessageBytes: MAX, concurrency: 100 });
  t.teardown(() => sidecar.stop());
  const client = await connectFlow(t, path, transport, large);
  const controller = new AbortController();
  const work = client.call('work', { number: 1 }, { signal: controller.signal, ...LONG });
  const items = client.stream('workStream', 2, { windowBytes: 16 });
  t.deepEqual(await items.next(), { value: 2, done: false });
  await until('it has begun', async () => (await sidecar.ask<number[]>('started')).includes(1));
  // As much as the ring takes, and far more that waits.
  sidecar.signal('SIGSTOP');
  const bulk = client.call('echoRaw', new Uint8Array(MAX), LONG);
  const more = Array.from({ length: 50 }, (_, number) => client.call('echo', `${number}`.padEnd(10_000), LONG));
  controller.abort();
  await rejectsAborted(t, work);
  await items.return();
  let isBulkDone = false;
  void bulk.then(() => {
    isBulkDone = true;
  });
  sidecar.signal('SIGCONT');
  await until('both handlers are told', async () => (await sidecar.ask<number[]>('aborted')).length > 0);
  t.is((await Promise.all(more)).length, 50);
  t.false(isBulkDone, 'what is small has overtaken it');
  t.is((await bulk).length, MAX);
});

suite.over('cancelling a large call on its way frees what had arrived', async (t, transport) => {
  const client = await suite.connect(t, transport, large);
  for (let round = 0; round < 3; round++) {
    const controller = new AbortController();
    const call = client.call('echoRaw', new Uint8Array(MAX), { signal: controller.signal, ...LONG });
    t.is(await client.call('echo', round, LONG), round);
    controller.abort();
    await rejectsAborted(t, call);
  }
  t.is(await client.call('echo', 'still here', LONG), 'still here');
  await client.flush(LONG);
  t.is(client.bufferedBytes, 0);
  t.is(client.stats().callsPending, 0);
});

suite.over('a large call of which a killed sidecar had a part is carried out by its successor', async (t, transport) => {
  const path = socketPath();
  const sidecar = await startFlowSidecar(path, { maxMessageBytes: MAX });
  t.teardown(() => sidecar.stop());
  const client = await connectFlow(t, path, transport, large);
  const bytes = pattern(MAX);
  const call = client.call('echoRaw', bytes, LONG);
  await client.call('echo', 1, LONG);
  await sidecar.stop();
  const next = await startFlowSidecar(path, { maxMessageBytes: MAX });
  t.teardown(() => next.stop());
  // Nobody can have carried it out before: it was never there as a whole.
  t.is(digest(await call), digest(bytes));
});

suite.over('credit gets through while bulk is on its way: a stream with a small window goes on', async (t, transport) => {
  const client = await suite.connect(t, transport, large);
  let isStreaming = true;
  // However fast the machine is: there is bulk on its way until the stream is done.
  const bulk = (async () => {
    while (isStreaming) await client.call('echoRaw', new Uint8Array(MAX), LONG);
  })();
  const numbers: number[] = [];
  for await (const number of client.stream('count', 20, { windowBytes: 16 })) numbers.push(number);
  t.is(numbers.length, 20);
  isStreaming = false;
  await bulk;
});

test.serial('a sidecar holds what has arrived of a message, and not what is announced', async (t) => {
  const path = socketPath();
  const sidecar = await startFlowSidecar(path, { maxMessageBytes: 1024 * MIB });
  t.teardown(() => sidecar.stop());
  const memory = async () => (await sidecar.ask<{ rss: number; external: number; arrayBuffers: number }>('memory')).arrayBuffers;
  const before = await memory();
  const clients = await Promise.all(
    Array.from({ length: 5 }, () => connectFlow(t, path, 'shm', { maxMessageBytes: 1024 * MIB, ringBytes: { toServer: 65_536 } })),
  );
  const controller = new AbortController();
  // A blocked app: of each message a few fragments are there.
  for (const client of clients) client.call('echoRaw', new Uint8Array(200 * MIB), { signal: controller.signal, ...LONG }).catch(() => {});
  const after = await memory();
  t.true(after - before < 100 * MIB, `${after - before} bytes`);
  controller.abort();
  for (const client of clients) t.is(await client.call('echo', 1, LONG), 1);
});
