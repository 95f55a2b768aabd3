import { digest, pattern } from '../helpers/bytes.js';
import { Suite } from './fixtures/suite.js';

const suite = new Suite();

suite.over('events arrive once, in order, with counting sequence numbers', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const count = 5000;
  for (let number = 0; number < count; ) {
    if (client.send('note', { number, text: 'x'.repeat(number % 50) })) number++;
    else await client.flush({ timeout: 20_000 });
  }
  const heard = await suite.heard(count);
  t.deepEqual(
    heard.map(({ value }) => (value as { number: number }).number),
    Array.from({ length: count }, (_, number) => number),
  );
  const first = heard[0]?.sequence as number;
  t.true(heard.every(({ sequence }, index) => sequence === first + index));
  t.true(heard.every(({ redelivered }) => !redelivered));
});

suite.over('events of all codecs keep their order among each other', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const blob = pattern(100);
  t.true(client.send('note', { number: 1, text: 'é€😀' }));
  t.true(client.send('noteJson', { number: 2, text: 'é€😀' }));
  t.true(client.send('blob', blob));
  t.true(client.send('noteOwn', 'four'));
  t.true(client.send('nothing'));
  const heard = await suite.heard(5);
  t.deepEqual(
    heard.map(({ name, value }) => [name, value]),
    [
      ['note', { number: 1, text: 'é€😀' }],
      ['noteJson', { number: 2, text: 'é€😀' }],
      ['blob', digest(blob)],
      ['noteOwn', 'four'],
      ['nothing', undefined],
    ],
  );
});

suite.over('an event whose handler throws or rejects does not hold up those behind it', async (t, transport) => {
  const client = await suite.connect(t, transport);
  const errorsBefore = (await suite.sidecar.ask<{ handlerErrors: number }>('stats')).handlerErrors;
  for (const how of ['throw', 'text', 'null', 'class'] as const) t.true(client.send('badNote', how));
  t.true(client.send('note', { number: 1 }));
  await client.flush({ timeout: 20_000 });
  t.is((await suite.heard(1)).length, 1);
  t.is((await suite.sidecar.ask<{ handlerErrors: number }>('stats')).handlerErrors, errorsBefore + 4);
});

suite.over('flush waits for handlers that finish later, and in any order', async (t, transport) => {
  const client = await suite.connect(t, transport);
  for (const [number, ms] of [120, 5, 60, 1].entries()) t.true(client.send('lateNote', { number, ms }));
  await client.flush({ timeout: 20_000 });
  const heard = await suite.heardSoFar();
  t.deepEqual(heard.map(({ value }) => value).sort(), [0, 1, 2, 3]);
});

suite.over('an event in several fragments arrives whole, between its neighbours', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes: { toServer: 64 * 1024, toClient: 4096 } });
  const big = pattern(60_000);
  for (let round = 0; round < 5; round++) {
    t.true(client.send('note', { number: 1 }));
    t.true(client.send('blob', big));
    t.true(client.send('note', { number: 2 }));
    await client.flush({ timeout: 20_000 });
    const heard = await suite.heard(3);
    t.deepEqual(
      heard.map(({ value }) => value),
      [{ number: 1 }, digest(big), { number: 2 }],
    );
  }
});

suite.over('what cannot be sent throws, and changes nothing for the next event', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes: { toServer: 4096, toClient: 4096 }, maxMessageBytes: 100_000 });
  t.throws(() => client.send('note', { number: 1, text: (() => 1) as unknown as string }), { code: 'ERR_PILLION_ENCODE' });
  t.throws(() => client.send('blob', 'text' as unknown as Uint8Array), { code: 'ERR_PILLION_ENCODE' });
  t.throws(() => client.send('blob', pattern(5000)), { code: 'ERR_PILLION_TOO_LARGE' });
  t.throws(() => client.send('blob', pattern(100_001)), { code: 'ERR_PILLION_TOO_LARGE' });
  t.throws(() => client.send('nowhere' as 'note', { number: 1 }), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  t.throws(() => client.send('echo' as 'note', { number: 1 }), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  t.is(client.stats().eventsSent, 0);
  t.true(client.send('note', { number: 7 }));
  const heard = await suite.heard(1);
  t.deepEqual(heard[0]?.value, { number: 7 });
});
