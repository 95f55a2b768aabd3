import { digest, pattern } from '../helpers/bytes.js';
import { until } from '../helpers/deadline.js';
import { Suite, type SuiteClient } from './fixtures/suite.js';

const MIB = 2 ** 20;

for (const checkViews of [true, false]) {
  const suite = new Suite({ checkViews });
  const how = checkViews ? 'with views checked' : 'with raw views';
  const over = (title: string, body: Parameters<Suite['over']>[1]): void =>
    suite.over(`${title}, ${how}`, async (t, transport) => {
      await suite.sidecar.ask('forgetKept');
      await body(t, transport);
    });
  const send = (client: SuiteClient, name: 'frame' | 'keptFrame' | 'lateFrame', bytes: Uint8Array, isClaimed: boolean): boolean => {
    if (!isClaimed) return client.send(name, bytes);
    const claim = client.claim(name, bytes.length);
    claim?.view.set(bytes);
    return claim?.commit() ?? false;
  };

  for (const [what, length, isClaimed] of [
    ['a loan', 100_000, true],
    ['a record', 5000, false],
    ['a message of several fragments', 100_000, false],
  ] as const) {
    over(`${what} can be looked at until its handler is done`, async (t, transport) => {
      const client = await suite.connect(t, transport, { arenaBytes: MIB });
      t.true(send(client, 'lateFrame', pattern(length), isClaimed));
      t.true(client.send('note', { number: 1 }));
      t.is((await suite.heard(2))[0]?.value, digest(pattern(length)));
      t.deepEqual(await suite.sidecar.ask('lookAtKept'), [digest(pattern(length))]);
      await t.throwsAsync(client.flush({ timeout: 50 }), { code: 'ERR_PILLION_TIMEOUT' });
      if (isClaimed) t.true(client.stats().arenaUsedBytes >= length);
      await suite.sidecar.ask('release', 0);
      await client.flush({ timeout: 20_000 });
      t.is(client.stats().arenaUsedBytes, 0);
      if (checkViews) t.deepEqual(await suite.sidecar.ask('keptLengths'), [0]);
    });

    over(`${what} that was retained can be looked at until it is released, which may be done twice`, async (t, transport) => {
      const client = await suite.connect(t, transport, { arenaBytes: MIB });
      for (const salt of [1, 2]) t.true(send(client, 'keptFrame', pattern(length, salt), isClaimed));
      t.true(client.send('note', { number: 1 }));
      await suite.heard(3);
      const both = [1, 2].map((salt) => digest(pattern(length, salt)));
      t.deepEqual(await suite.sidecar.ask('lookAtKept'), both);
      // In order: the second one waits for the first.
      await suite.sidecar.ask('release', 1);
      await suite.sidecar.ask('release', 1);
      await t.throwsAsync(client.flush({ timeout: 50 }), { code: 'ERR_PILLION_TIMEOUT' });
      t.is(((await suite.sidecar.ask('lookAtKept')) as string[])[0], both[0]);
      await suite.sidecar.ask('release', 0);
      await suite.sidecar.ask('release', 0);
      await client.flush({ timeout: 20_000 });
      if (checkViews) t.deepEqual(await suite.sidecar.ask('keptLengths'), [0, 0]);
    });
  }

  over('an event that is over cannot be retained', async (t, transport) => {
    const client = await suite.connect(t, transport, { arenaBytes: MIB });
    t.true(send(client, 'frame', pattern(100), true));
    t.true(send(client, 'lateFrame', pattern(100), true));
    await suite.heard(2);
    t.is(await suite.sidecar.ask('retainAgain', 0), 'ERR_PILLION_CLAIM_OVER');
    await suite.sidecar.ask('release', 1);
    await client.flush({ timeout: 20_000 });
    t.is(await suite.sidecar.ask('retainAgain', 1), 'ERR_PILLION_CLAIM_OVER');
  });

  over('any event can be retained, and keeps its place', async (t, transport) => {
    const client = await suite.connect(t, transport);
    t.true(client.send('keptNote', { number: 5 }));
    await suite.heard(1);
    await t.throwsAsync(client.flush({ timeout: 50 }), { code: 'ERR_PILLION_TIMEOUT' });
    await suite.sidecar.ask('release', 0);
    await client.flush({ timeout: 20_000 });
    t.is(client.stats().bufferedBytes, 0);
  });

  over('what was retained can be looked at after its app has left', async (t, transport) => {
    const client = await suite.connect(t, transport, { arenaBytes: MIB });
    t.true(send(client, 'keptFrame', pattern(100_000, 1), true));
    t.true(send(client, 'keptFrame', pattern(5000, 2), false));
    await suite.heard(2);
    await client.close();
    await until('it has left', async () => (await suite.sidecar.ask<{ clients: number }>('stats')).clients === 0);
    t.deepEqual(await suite.sidecar.ask('lookAtKept'), [digest(pattern(100_000, 1)), digest(pattern(5000, 2))]);
    const { mappings } = await suite.sidecar.ask<{ mappings: number }>('resources');
    t.is(mappings > 0, transport === 'shm');
    await suite.sidecar.ask('release', 0);
    await suite.sidecar.ask('release', 1);
    t.is((await suite.sidecar.ask<{ mappings: number }>('resources')).mappings, 0);
  });
}
