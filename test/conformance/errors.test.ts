import test from 'ava';
import { connect, RemoteError, serve } from '../../src/index.js';
import { socketPath } from '../helpers/socket-path.js';
import { conformance } from './fixtures/contract.js';
import { handlers } from './fixtures/handlers.js';
import { Suite, transportOptions } from './fixtures/suite.js';

const suite = new Suite();

suite.over("a handler's error arrives with its code, message and class, and without its stack", async (t, transport) => {
  const client = await suite.connect(t, transport);
  for (const how of ['throw', 'reject'] as const) {
    const error = await t.throwsAsync(client.call('fail', how), { instanceOf: RemoteError });
    t.is(error?.code, 'ERR_PILLION_HANDLER');
    t.is(error?.message, 'out of it');
    t.is(error?.remoteName, 'RangeError');
    t.is(error?.remoteStack, undefined);
    t.false(error?.stack?.includes('handlers.'));
  }
  const own = await t.throwsAsync(client.call('fail', 'code'), { instanceOf: RemoteError });
  t.is(own?.code, 'ERR_OUT_OF_IT');
  const picky = await t.throwsAsync(client.call('fail', 'class'), { instanceOf: RemoteError });
  t.deepEqual([picky?.code, picky?.message, picky?.remoteName], ['ERR_PICKY', 'no thanks', 'PickyError']);
  t.is(client.stats().callsFailed, 4);
});

suite.over('whatever a handler throws becomes an error', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const text = await t.throwsAsync(client.call('fail', 'text'), { instanceOf: RemoteError });
  t.is(text?.message, 'only words');
  const nothing = await t.throwsAsync(client.call('fail', 'null'), { instanceOf: RemoteError });
  t.is(nothing?.message, 'null');
  t.is(await client.call('echo', 1), 1);
});

for (const transport of ['shm', 'socket'] as const) {
  test.serial(`${transport}: the stack travels if the sidecar exposes stacks`, async (t) => {
    const path = socketPath();
    const server = await serve(conformance, handlers, { path, exposeStacks: true });
    const client = connect(conformance, { path, ...transportOptions(transport) });
    t.teardown(async () => {
      await client.close();
      await server.close();
    });
    const error = await t.throwsAsync(client.call('fail', 'throw'), { instanceOf: RemoteError });
    t.regex(error?.remoteStack ?? '', /RangeError: out of it\n\s+at /);
  });

  test.serial(`${transport}: the sidecar's own listener hears of every failed handler`, async (t) => {
    const path = socketPath();
    const server = await serve(conformance, handlers, { path });
    const client = connect(conformance, { path, ...transportOptions(transport) });
    t.teardown(async () => {
      await client.close();
      await server.close();
    });
    const failures: [unknown, string][] = [];
    server.on('handlerError', (error, name) => failures.push([error, name]));
    await t.throwsAsync(client.call('fail', 'text'));
    client.send('badNote', 'text');
    await client.flush({ timeout: 20_000 });
    t.deepEqual(failures, [
      ['only words', 'fail'],
      ['only words', 'badNote'],
    ]);
    t.is(server.stats().handlerErrors, 2);
  });
}
