import test from 'ava';
import { connect } from '../../src/index.js';
import { digest, pattern } from '../helpers/bytes.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { conformance } from './fixtures/contract.js';
import type { Heard } from './fixtures/handlers.js';
import { Suite, startSidecar, transportOptions } from './fixtures/suite.js';

const SMALL = 10_000;
const LARGE = 1_000_000;
const rings = { ringBytes: { toServer: 128 * 1024, toClient: 128 * 1024 } };

const small = new Suite({ maxMessageBytes: SMALL });
const large = new Suite({ maxMessageBytes: LARGE });

// In one record and, above 32 KiB, in fragments.
for (const length of [20_000, 100_000]) {
  small.over(`a request of ${length} bytes that only the sidecar finds too large fails alone`, async (t, transport) => {
    const client = await small.connect(t, transport, { maxMessageBytes: LARGE, ...rings });
    await t.throwsAsync(client.call('echoRaw', pattern(length)), { code: 'ERR_PILLION_TOO_LARGE' });
    t.throws(() => client.callSync('echoRaw', pattern(length)), { code: 'ERR_PILLION_TOO_LARGE' });
    t.is((await client.call('echoRaw', pattern(SMALL))).length, SMALL);
    t.is(client.stats().connections, 1);
  });

  large.over(`an answer of ${length} bytes that only the client finds too large fails alone`, async (t, transport) => {
    const client = await large.connect(t, transport, { maxMessageBytes: SMALL, ...rings });
    await t.throwsAsync(client.call('bytes', length), { code: 'ERR_PILLION_TOO_LARGE' });
    t.throws(() => client.callSync('bytes', length), { code: 'ERR_PILLION_TOO_LARGE' });
    t.is(((await client.call('bytes', SMALL - 10)) as Uint8Array).length, SMALL - 10);
    t.is(client.stats().connections, 1);
  });

  for (const transport of ['shm', 'socket'] as const) {
    test.serial(`${transport}: an event of ${length} bytes that only the sidecar finds too large does not stop the others`, async (t) => {
      const path = socketPath();
      const client = connect(conformance, { path, maxMessageBytes: LARGE, ...rings, ...transportOptions(transport) });
      t.teardown(() => client.close());
      // Accepted before anybody could know the sidecar's limit.
      t.true(client.send('blob', pattern(1)));
      t.true(client.send('blob', pattern(length)));
      t.true(client.send('blob', pattern(2)));
      const sidecar = await startSidecar(path, { maxMessageBytes: SMALL });
      t.teardown(() => sidecar.stop());
      await client.flush({ timeout: 20_000 });
      t.is(await client.call('echo', 'fine'), 'fine');
      t.deepEqual(
        (await sidecar.ask<Heard[]>('takeHeard')).map(({ value }) => value),
        [digest(pattern(1)), digest(pattern(2))],
      );
      t.is(client.stats().connections, 1);
    });
  }
}

test.serial('a client whose rings are larger than the server allows is refused with a reason', async (t) => {
  const path = socketPath();
  const sidecar = await startSidecar(path, { maxRingBytes: 64 * 1024 });
  t.teardown(() => sidecar.stop());
  const client = connect(conformance, { path, ...rings });
  t.teardown(() => client.close());
  await t.throwsAsync(client.ready({ timeout: 300 }), { code: 'ERR_PILLION_TIMEOUT', message: /maxRingBytes/ });
});

test.serial('one client more than maxConnections is refused until another leaves', async (t) => {
  const path = socketPath();
  const sidecar = await startSidecar(path, { maxConnections: 1 });
  t.teardown(() => sidecar.stop());
  const first = connect(conformance, { path });
  await first.ready({ timeout: 20_000 });
  const second = connect(conformance, { path });
  t.teardown(() => second.close());
  await until('it is refused', () => (second.status().lastError as { code?: string } | null)?.code === 'ERR_PILLION_BUSY');
  t.is(second.status().state, 'connecting');
  await first.close();
  await second.ready({ timeout: 20_000 });
});
