import type { Claim } from '../../src/index.js';
import { digest, pattern } from '../helpers/bytes.js';
import { Suite, type SuiteClient } from './fixtures/suite.js';

const suite = new Suite();

const MIB = 2 ** 20;
/** A ring that no claim of the suite would fit. */
const ringBytes = { toServer: 4096, toClient: 4096 };

function claimed(client: SuiteClient, name: 'blob' | 'frame' | 'keptFrame' | 'lateFrame', bytes: Uint8Array): Claim {
  const claim = client.claim(name, bytes.length);
  if (claim === null) throw new Error('there is no room for the claim');
  claim.view.set(bytes);
  return claim;
}

for (const checkViews of [true, false]) {
  const how = checkViews ? 'with views checked' : 'with raw views';

  suite.over(`a committed claim arrives as an event, between its neighbours, borrowed or not, ${how}`, async (t, transport) => {
    const client = await suite.connect(t, transport, { ringBytes, arenaBytes: 4 * MIB, checkViews });
    const expected: unknown[] = [];
    for (const [index, length] of [0, 1, 64, 65, 1000, 100_000, MIB].entries()) {
      for (const name of ['blob', 'frame'] as const) {
        const bytes = pattern(length, index);
        t.true(client.send('note', { number: index }));
        t.true(claimed(client, name, bytes).commit());
        expected.push({ number: index }, digest(bytes));
      }
    }
    await client.flush({ timeout: 20_000 });
    const heard = await suite.heard(expected.length);
    t.deepEqual(
      heard.map(({ value }) => value),
      expected,
    );
    t.deepEqual(
      heard.map(({ sequence }) => sequence),
      heard.map((_, index) => index + 1),
    );
    const { eventsSent, claimsOpen, arenaUsedBytes } = client.stats();
    t.deepEqual({ eventsSent, claimsOpen, arenaUsedBytes }, { eventsSent: expected.length, claimsOpen: 0, arenaUsedBytes: 0 });
  });

  suite.over(`many claims of all sizes, several open at a time, all arrive intact, ${how}`, async (t, transport) => {
    const client = await suite.connect(t, transport, { arenaBytes: MIB, checkViews });
    const expected: string[] = [];
    const open: Claim[] = [];
    let refused = 0;
    for (let round = 0; round < 400; ) {
      const bytes = pattern(((round * 7919) % 97) ** 2 * 20, round);
      const claim = client.claim(round % 2 === 0 ? 'blob' : 'frame', bytes.length);
      if (claim === null) {
        refused++;
        for (const { commit } of open.splice(0)) t.true(commit());
        await client.flush({ timeout: 20_000 });
        continue;
      }
      claim.view.set(bytes);
      open.push(claim);
      expected.push(digest(bytes));
      if (++round % 5 === 0) for (const { commit } of open.splice(0)) t.true(commit());
    }
    await client.flush({ timeout: 20_000 });
    const heard = await suite.heard(expected.length);
    t.deepEqual(
      heard.map(({ value }) => value),
      expected,
    );
    t.true(refused > 0);
    t.is(client.stats().arenaUsedBytes, 0);
  });
}

suite.over('without an arena a claim is copied into the ring, and everything else is the same', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes: { toServer: 65_536, toClient: 4096 } });
  const claim = claimed(client, 'frame', pattern(60_000));
  t.true(claim.commit());
  t.is(claim.view.length, 0);
  t.throws(() => claim.commit(), { code: 'ERR_PILLION_CLAIM_OVER' });
  claimed(client, 'blob', pattern(5)).abort();
  t.throws(() => client.claim('frame', 65_536), { code: 'ERR_PILLION_TOO_LARGE', message: /ringBytes/ });
  await client.flush({ timeout: 20_000 });
  t.deepEqual(
    (await suite.heard(1)).map(({ value }) => value),
    [digest(pattern(60_000))],
  );
});

suite.over('commit sends as much as it is told, and refuses more than was claimed', async (t, transport) => {
  const client = await suite.connect(t, transport, { arenaBytes: MIB });
  const { view, commit } = client.claim('frame', 1000) as Claim;
  view.set(pattern(10));
  for (const length of [1001, -1, 0.5, Number.NaN]) t.throws(() => commit(length), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  t.true(commit(10));
  t.is((await suite.heard(1))[0]?.value, digest(pattern(10)));
});

suite.over('claims arrive in the order of their commits', async (t, transport) => {
  const client = await suite.connect(t, transport, { arenaBytes: MIB });
  const claims = [1, 2, 3].map((salt) => claimed(client, 'frame', pattern(500, salt)));
  for (const index of [2, 0, 1]) t.true(claims[index]?.commit());
  t.deepEqual(
    (await suite.heard(3)).map(({ value }) => value),
    [3, 1, 2].map((salt) => digest(pattern(500, salt))),
  );
});

suite.over('an open claim holds up nothing that is sent meanwhile', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes, arenaBytes: MIB });
  const claim = claimed(client, 'frame', pattern(MIB));
  for (let number = 0; number < 1000; ) {
    if (client.send('note', { number })) number++;
    else await client.flush({ timeout: 20_000 });
  }
  await client.flush({ timeout: 20_000 });
  t.is((await suite.heard(1000)).length, 1000);
  t.true(claim.commit());
  t.is((await suite.heard(1))[0]?.value, digest(pattern(MIB)));
});

suite.over('an aborted claim sends nothing and gives its memory back', async (t, transport) => {
  const client = await suite.connect(t, transport, { arenaBytes: MIB });
  for (let round = 0; round < 10; round++) claimed(client, 'frame', pattern(MIB)).abort();
  {
    using claim = client.claim('frame', MIB);
    t.truthy(claim);
  }
  const { eventsSent, claimsOpen, arenaUsedBytes } = client.stats();
  t.deepEqual({ eventsSent, claimsOpen, arenaUsedBytes }, { eventsSent: 0, claimsOpen: 0, arenaUsedBytes: 0 });
  await client.flush();
  t.is((await suite.heardSoFar()).length, 0);
});

suite.over('a claim can be committed once, not after abort, and aborted as often as one likes', async (t, transport) => {
  const client = await suite.connect(t, transport, { arenaBytes: MIB });
  const claim = claimed(client, 'frame', pattern(100));
  t.true(claim.commit());
  t.throws(() => claim.commit(), { code: 'ERR_PILLION_CLAIM_OVER' });
  claim.abort();
  claim.abort();
  const aborted = claimed(client, 'frame', pattern(100));
  aborted.abort();
  aborted.abort();
  t.throws(() => aborted.commit(), { code: 'ERR_PILLION_CLAIM_OVER' });
  t.true(claimed(client, 'frame', pattern(200)).commit());
  t.deepEqual(
    (await suite.heard(2)).map(({ value }) => value),
    [digest(pattern(100)), digest(pattern(200))],
  );
  t.is(client.stats().claimsOpen, 0);
});

suite.over('a claim that can never fit throws, one that does not fit now is null', async (t, transport) => {
  const client = await suite.connect(t, transport, { arenaBytes: MIB, maxMessageBytes: 2 * MIB });
  t.throws(() => client.claim('frame', MIB + 1), { code: 'ERR_PILLION_TOO_LARGE', message: /arenaBytes/ });
  t.throws(() => client.claim('frame', 2 * MIB + 1), { code: 'ERR_PILLION_TOO_LARGE', message: /maxMessageBytes/ });
  for (const bytes of [-1, 0.5, Number.NaN, '5'])
    t.throws(() => client.claim('frame', bytes as number), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  t.throws(() => client.claim('note' as 'frame', 5), { code: 'ERR_PILLION_INVALID_ARGUMENT', message: /raw/ });
  t.throws(() => client.claim('nowhere' as 'frame', 5), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  const first = client.claim('frame', MIB / 2) as Claim;
  t.is(client.claim('frame', MIB / 2 + 1), null);
  first.abort();
  t.is(client.claim('frame', MIB)?.view.length, MIB);
});

suite.over('a full ring makes commit return false, and the claim may be committed later', async (t, transport) => {
  const client = await suite.connect(t, transport, { ringBytes, arenaBytes: MIB });
  suite.sidecar.signal('SIGSTOP');
  const claim = claimed(client, 'frame', pattern(10_000));
  let count = 0;
  try {
    while (client.send('note', { number: count })) count++;
    while (client.send('nothing')) count++;
    t.false(claim.commit());
    t.false(claim.commit());
    t.is(claim.view.length, 10_000);
  } finally {
    suite.sidecar.signal('SIGCONT');
  }
  await client.flush({ timeout: 20_000 });
  t.true(claim.commit());
  const heard = await suite.heard(count + 1);
  t.is(heard.at(-1)?.value, digest(pattern(10_000)));
  t.is(heard.length, count + 1);
});

suite.over('after close() commit returns false, abort does nothing, and writing to a view harms nobody', async (t, transport) => {
  for (const checkViews of [true, false]) {
    const client = await suite.connect(t, transport, { arenaBytes: MIB, checkViews });
    const [one, two] = [claimed(client, 'frame', pattern(1000)), claimed(client, 'blob', pattern(1000))];
    await client.close();
    one.view[5] = 1;
    two.view[999] = 1;
    t.false(one.commit());
    t.false(one.commit());
    two.abort();
    t.false(two.commit());
    one.abort();
    t.is(client.claim('frame', 5), null);
    t.is(client.stats().claimsOpen, 0);
  }
  t.is((await suite.heardSoFar()).length, 0);
});

suite.over('where views are checked, that of a claim which is over has length 0', async (t, transport) => {
  const client = await suite.connect(t, transport, { arenaBytes: MIB, checkViews: true });
  const [committed, aborted] = [claimed(client, 'frame', pattern(1000)), claimed(client, 'frame', pattern(1000))];
  const part = committed.view.subarray(10, 20);
  t.true(committed.commit());
  aborted.abort();
  for (const view of [committed.view, part, aborted.view]) {
    view[0] = 1;
    t.is(view.length, 0);
    t.throws(() => view.fill(1), { instanceOf: TypeError });
  }
  t.is((await suite.heard(1))[0]?.value, digest(pattern(1000)));
});

suite.over('a buffer behind a view cannot be transferred away', async (t, transport) => {
  const client = await suite.connect(t, transport, { arenaBytes: MIB, checkViews: false });
  const claim = claimed(client, 'frame', pattern(1000));
  if (transport === 'shm') {
    try {
      structuredClone(claim.view, { transfer: [claim.view.buffer as ArrayBuffer] });
    } catch (error) {
      t.is((error as Error).name, 'DataCloneError');
    }
    t.is(claim.view.length, 1000);
  }
  t.true(claim.commit());
  t.is((await suite.heard(1))[0]?.value, digest(pattern(1000)));
});
