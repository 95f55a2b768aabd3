import test from 'ava';
import { type Codec, connect, contract, event, method, serve } from '../../src/index.js';
import { inTime } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { transportOptions } from './fixtures/suite.js';

const reversing: Codec = {
  name: 'reversing',
  encode: (value) => Buffer.from(String(value)).reverse(),
  decode: (bytes) => Buffer.from(bytes).reverse().toString(),
};

/** The sidecar's release: other order, one event less, one method less, kinds swapped, another default codec. */
const older = contract('released', {
  ask: method<string, string>(),
  swapped: event<string>(),
  tell: event<string>(),
  differently: method<string, string>({ codec: 'json' }),
  secret: method<string, string>(),
});

/** The app's. */
const newer = contract('released', {
  addedEvent: event<string>(),
  tell: event<string>(),
  addedMethod: method<string, string>({ idempotent: true }),
  swapped: method<string, string>(),
  ask: method<string, string>(),
  differently: method<string, string>({ codec: 'msgpack' }),
  secret: method<string, string>({ codec: reversing }),
  toString: method<string, string>(),
});

for (const transport of ['shm', 'socket'] as const) {
  test(`${transport}: names are matched by name, and what one side lacks fails alone`, async (t) => {
    const path = socketPath();
    const told: string[] = [];
    const answer = (text: string): string => `re: ${text}`;
    const server = await serve(
      older,
      { ask: answer, swapped: () => {}, tell: (text) => void told.push(text), differently: answer, secret: answer },
      { path },
    );
    const client = connect(newer, { path, ...transportOptions(transport) });
    t.teardown(async () => {
      await client.close();
      await server.close();
    });
    await client.ready({ timeout: 20_000 });
    t.is(client.status().transport, transport);
    t.true(client.send('tell', 'first'));
    t.true(client.send('addedEvent', 'nobody hears this'));
    t.true(client.send('tell', 'second'));
    for (const name of ['addedMethod', 'swapped', 'secret', 'toString'] as const) {
      const error = await t.throwsAsync(client.call(name, 'x'), { code: 'ERR_PILLION_UNKNOWN_NAME' }, name);
      t.true(error?.message.includes(name));
    }
    t.is(await client.call('ask', 'me'), 're: me');
    t.is(await client.call('differently', 'coded'), 're: coded');
    await client.flush({ timeout: 20_000 });
    t.deepEqual(told, ['first', 'second']);
    t.is(server.stats().eventsUnknown, 1);
    t.is(client.stats().connections, 1);
  });

  test(`${transport}: a server of another contract refuses, and the client says so`, async (t) => {
    const path = socketPath();
    const server = await serve(contract('other', { ask: method() }), { ask: () => {} }, { path });
    const client = connect(newer, { path, ...transportOptions(transport) });
    t.teardown(async () => {
      await client.close();
      await server.close();
    });
    const refused = new Promise<Error>((resolve) => server.once('refused', resolve));
    await t.throwsAsync(client.ready({ timeout: 300 }), { code: 'ERR_PILLION_TIMEOUT', message: /contract "other"/ });
    t.is(((await inTime('the refusal', refused)) as { code?: string }).code, 'ERR_PILLION_CONTRACT');
    t.is((client.status().lastError as { code?: string } | null)?.code, 'ERR_PILLION_CONTRACT');
  });
}
