import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { connectFlow, type FlowClient, FlowSuite, openFlow, startFlowSidecar } from './fixtures/flow-suite.js';
import { takeHeard } from './fixtures/suite.js';

const suite = new FlowSuite();

/** Blocks this thread long enough for an idle sidecar to read whatever it sees. */
function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

suite.over('what a batch sends is invisible until its end, and arrives in order', async (t, transport) => {
  const client = await suite.connect(t, transport);
  await client.call('echo', 1);
  const before = client.stats().doorbells;
  let buffered = 0;
  const result = client.batch(() => {
    for (let number = 0; number < 100; number++) t.true(client.send('note', number));
    block(50);
    // Nothing was released, because nobody has seen it.
    buffered = client.bufferedBytes;
    return 'the result';
  });
  t.is(result, 'the result');
  t.true(buffered >= 100 * 24);
  t.deepEqual(
    await suite.heard(100),
    Array.from({ length: 100 }, (_, number) => number),
  );
  t.true(client.stats().doorbells - before <= 1, 'one look at the sidecar serves all');
  t.is(client.stats().eventsSent, 100);
});

suite.over('of nested batches the outermost counts', async (t, transport) => {
  const client = await suite.connect(t, transport);
  await client.call('echo', 1);
  client.batch(() => {
    client.send('note', 1);
    client.batch(() => client.send('note', 2));
    block(30);
    t.true(client.bufferedBytes >= 2 * 24, 'the end of the inner one has published nothing');
    client.send('note', 3);
  });
  t.deepEqual(await suite.heard(3), [1, 2, 3]);
});

suite.over('a batch that throws has sent what came before, and the next one is not affected', async (t, transport) => {
  const client = await suite.connect(t, transport);
  t.throws(
    () =>
      client.batch(() => {
        client.send('note', 1);
        client.batch(() => {
          client.send('note', 2);
          throw new Error('in the middle');
        });
      }),
    { message: 'in the middle' },
  );
  t.deepEqual(await suite.heard(2), [1, 2]);
  client.send('note', 3);
  t.deepEqual(await suite.heard(1), [3]);
});

suite.over('calls and streams in a batch are answered after it, events among them in order', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const [one, uploaded, two] = client.batch(() => {
    const first = client.call('echo', 'one');
    client.send('note', 1);
    const upload = client.upload('collect', [new Uint8Array(5)]);
    return [first, upload, client.call('echo', 'two')] as const;
  });
  t.is(await one, 'one');
  t.is(await uploaded, 5);
  t.is(await two, 'two');
  t.deepEqual(await suite.heard(1), [1]);
  t.is(client.stats().callsPending, 0);
});

suite.over('cancelling in a batch reaches the handler after it', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const controller = new AbortController();
  const call = client.call('work', { number: 900 }, { signal: controller.signal, timeout: 20_000 }).catch(() => 'aborted');
  await until('it has begun', async () => (await suite.sidecar.ask<number[]>('started')).includes(900));
  client.batch(() => controller.abort());
  t.is(await call, 'aborted');
  await until('its handler knows', async () => (await suite.sidecar.ask<number[]>('aborted')).includes(900));
});

suite.over('callSync in a batch publishes what came before it, and is answered', async (t, transport) => {
  const client = await suite.connect(t, transport);
  client.batch(() => {
    client.send('note', 1);
    t.is(client.callSync('echo', 'sync', { timeout: 20_000 }), 'sync');
    client.send('note', 2);
    t.is(client.callSync('echo', 'again', { timeout: 20_000 }), 'again');
    client.send('note', 3);
  });
  t.deepEqual(await suite.heard(3), [1, 2, 3]);
});

suite.over('a ring that gets full in a batch is published, so that the sidecar can make room', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes: { toServer: 16_384 } });
  let accepted = 0;
  client.batch(() => {
    for (let i = 0; i < 100; i++) if (client.send('text', 'x'.repeat(1000))) accepted++;
  });
  t.true(accepted >= 15 && accepted < 100);
  t.is((await suite.heard(accepted)).length, accepted);
  let waited = 0;
  client.batch(() => {
    for (let i = 0; i < 100; i++) if (client.send('waitingNote', 'x'.repeat(1000))) waited++;
  });
  t.is(waited, 100);
  t.is((await suite.heard(100)).length, 100);
  const answers = await Promise.all(client.batch(() => Array.from({ length: 50 }, (_, i) => client.call('echo', `${i}`.padEnd(900)))));
  t.is(answers.length, 50);
  // Larger than the ring.
  t.is(((await client.batch(() => client.call('echo', 'y'.repeat(100_000)))) as string).length, 100_000);
});

suite.over('an asynchronous function is a batch up to its first await', async (t, transport) => {
  const client = await suite.connect(t, transport);
  await client.batch(async () => {
    client.send('note', 1);
    await client.flush({ timeout: 20_000 });
    t.is(client.bufferedBytes, 0);
    client.send('note', 2);
    await client.flush({ timeout: 20_000 });
  });
  t.deepEqual(await suite.heard(2), [1, 2]);
});

suite.over('a client closed in a batch sends what came before, and a batch on a closed one sends nothing', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const closing = client.batch(() => {
    client.send('note', 1);
    const promise = client.close();
    client.send('note', 2);
    return promise;
  });
  await closing;
  t.deepEqual(await suite.heard(2), [1, 2]);
  t.is(
    client.batch(() => client.send('note', 3)),
    false,
  );
  t.throws(() => client.batch(() => client.callSync('echo', 1)), { code: 'ERR_PILLION_CLOSED' });
});

suite.over('without a sidecar a batch waits in the ring like anything else', async (t, transport) => {
  const path = socketPath();
  const client: FlowClient = openFlow(t, path, transport);
  const call = client.batch(() => {
    client.send('note', 1);
    client.send('note', 2);
    return client.call('echo', 3, { timeout: 20_000 });
  });
  const sidecar = await startFlowSidecar(path);
  t.teardown(() => sidecar.stop());
  t.is(await call, 3);
  t.deepEqual(await takeHeard(sidecar, 2), [1, 2]);
});

suite.over('a sidecar that dies in a batch loses nothing of it', async (t, transport) => {
  const path = socketPath();
  const sidecar = await startFlowSidecar(path);
  t.teardown(() => sidecar.stop());
  const client = await connectFlow(t, path, transport);
  sidecar.signal('SIGSTOP');
  await sleep(10);
  client.batch(() => {
    client.send('note', 1);
    sidecar.signal('SIGKILL');
    client.send('note', 2);
    // Notices the death, and moves to another ring.
    t.throws(() => client.callSync('echo', 1, { timeout: 20_000 }), { code: 'ERR_PILLION_PEER_DIED' });
    client.send('note', 3);
  });
  const next = await startFlowSidecar(path);
  t.teardown(() => next.stop());
  await client.flush({ timeout: 20_000 });
  t.deepEqual(await takeHeard(next, 3), [1, 2, 3]);
});
