import { readFileSync } from 'node:fs';
import { type Codec, connect, contract, method } from '../../src/index.js';
import { digest, pattern } from '../helpers/bytes.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { conformance, shouting } from './fixtures/contract.js';
import { Suite, startSidecar, transportOptions } from './fixtures/suite.js';

const suite = new Suite();

suite.over('callSync returns what the handler returned', async (t, transport) => {
  const client = await suite.connect(t, transport);
  for (let number = 0; number < 200; number++) {
    if (client.callSync('echo', number) !== number) return t.fail(`call ${number} got another answer`);
  }
  t.is(client.callSync('echoOwn', 'Quiet'), 'quiet');
  t.is(client.callSync('nothingBack'), undefined);
  t.deepEqual(client.callSync('echoJson', { a: [1] }), { a: [1] });
  t.is(client.stats().callsSucceeded, 203);
});

suite.over('callSync carries payloads of every size', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes: { toServer: 16_384, toClient: 16_384 } });
  for (const size of [0, 1, 8, 4079, 4080, 4081, 16_384, 100_000, 1024 * 1024]) {
    t.is(digest(client.callSync('echoRaw', pattern(size), { timeout: 20_000 })), digest(pattern(size)), `size ${size}`);
  }
});

suite.over('callSync waits for handlers that answer later', async (t, transport) => {
  const client = await suite.connect(t, transport);
  t.is(client.callSync('later', { ms: 50, value: 4 }), 4);
});

suite.over('callSync throws what the handler threw', async (t, transport) => {
  const client = await suite.connect(t, transport);
  t.throws(() => client.callSync('fail', 'class'), { code: 'ERR_PICKY', message: 'no thanks', name: 'RemoteError' });
  t.is(client.callSync('echo', 1), 1);
});

suite.over('callSync gives up after its timeout, and the connection goes on', async (t, transport) => {
  const client = await suite.connect(t, transport);
  t.throws(() => client.callSync('hang', `sync ${transport}`, { timeout: 50 }), { code: 'ERR_PILLION_TIMEOUT' });
  t.is(client.callSync('echo', 'on'), 'on');
  t.is(await client.call('echo', 'and on'), 'and on');
  t.is(client.stats().callsPending, 0);
});

suite.over('callSync leaves calls in flight to their own answers', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const earlier = [client.call('later', { ms: 30, value: 1 }), client.call('echo', 2), client.call('fail', 'code')] as const;
  t.is(client.callSync('later', { ms: 60, value: 3 }), 3);
  t.is(await earlier[0], 1);
  t.is(await earlier[1], 2);
  await t.throwsAsync(earlier[2], { code: 'ERR_OUT_OF_IT' });
});

suite.over('callSync between flush and its end keeps nothing from being flushed', async (t, transport) => {
  const client = await suite.connect(t, transport);
  for (let round = 0; round < 20; round++) {
    t.true(client.send('note', { number: round }));
    const flushed = client.flush({ timeout: 20_000 });
    t.is(client.callSync('echo', round), round);
    await flushed;
  }
  t.is((await suite.heard(20)).length, 20);
});

suite.over('callSync without a sidecar says that it cannot wait for one', async (t, transport) => {
  const client = connect(conformance, { path: socketPath(), ...transportOptions(transport) });
  t.teardown(() => client.close());
  t.throws(() => client.callSync('echo', 1), { code: 'ERR_PILLION_NOT_CONNECTED' });
  await client.close();
  t.throws(() => client.callSync('echo', 1), { code: 'ERR_PILLION_CLOSED' });
});

suite.over('a codec during whose work the sidecar dies does not lose the answer that it decodes', async (t, transport) => {
  for (const isSync of [true, false]) {
    const path = socketPath();
    const sidecar = await startSidecar(path);
    t.teardown(() => sidecar.stop());
    let meanwhile = (): void => {};
    const busy: Codec = {
      ...shouting,
      decode(bytes) {
        meanwhile();
        return shouting.decode(bytes);
      },
    };
    const own = contract('conformance', { echoOwn: method<string, string>({ codec: busy }) });
    const client = connect(own, { path, ...transportOptions(transport) });
    t.teardown(() => client.close());
    await client.ready({ timeout: 20_000 });
    // Awake, so that the answer is taken where the call was made.
    for (let i = 0; i < 300; i++) await client.call('echoOwn', 'warm');
    meanwhile = () => {
      meanwhile = () => {};
      sidecar.signal('SIGKILL');
      while (!/\) [ZX]/.test(readFileSync(`/proc/${sidecar.pid}/stat`, 'utf8')));
      t.throws(() => client.callSync('echoOwn', 'nobody'), { code: 'ERR_PILLION_PEER_DIED' });
    };
    t.is(isSync ? client.callSync('echoOwn', 'BYE') : await client.call('echoOwn', 'BYE'), 'bye');
    await until('the client has noticed', () => client.status().state !== 'connected');
  }
});
