import { digest, pattern } from '../helpers/bytes.js';
import { Suite, type SuiteClient } from './fixtures/suite.js';

const RING = 64 * 1024;
const MAX = 2 * 1024 * 1024;
/** The longest payload of one record. */
const WHOLE = RING / 4 - 16;

const suite = new Suite({ maxMessageBytes: MAX });

const sizes = [
  ...[0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 511, 512, 513, 4095, 4096, 4097],
  ...[-9, -8, -7, -1, 0, 1, 7, 8, 9].map((more) => WHOLE + more),
  ...[-1, 0, 1].map((more) => 2 * WHOLE + more),
  ...[-1, 0, 1].map((more) => 4 * WHOLE + more),
  RING,
  3 * RING + 5,
  1024 * 1024,
  MAX,
];

const rings = { ringBytes: { toServer: RING, toClient: RING }, maxMessageBytes: MAX };

async function echo(client: SuiteClient, size: number): Promise<string> {
  return digest(await client.call('echoRaw', pattern(size, size & 7), { timeout: 20_000 }));
}

suite.over('calls and replies of every size arrive unchanged', async (t, transport) => {
  const client = await suite.connect(t, transport, rings);
  for (const size of sizes) t.is(await echo(client, size), digest(pattern(size, size & 7)), `size ${size}`);
});

suite.over('the two rings may differ in size', async (t, transport) => {
  for (const [toServer, toClient] of [
    [4096, RING],
    [RING, 4096],
    [4096, 4096],
  ] as const) {
    const client = await suite.connect(t, transport, { ringBytes: { toServer, toClient }, maxMessageBytes: MAX });
    for (const size of [0, 1007, 1008, 1009, 1015, 1016, 5000, RING, 300_000]) {
      t.is(await echo(client, size), digest(pattern(size, size & 7)), `size ${size} over ${toServer}/${toClient}`);
    }
  }
});

suite.over('events of every size that fits the ring arrive unchanged', async (t, transport) => {
  const client = await suite.connect(t, transport, rings);
  const fitting = sizes.filter((size) => size <= 4 * WHOLE);
  for (const size of fitting) {
    t.true(client.send('blob', pattern(size)), `size ${size}`);
    await client.flush({ timeout: 20_000 });
  }
  t.deepEqual(
    (await suite.heard(fitting.length)).map(({ value }) => value),
    fitting.map((size) => digest(pattern(size))),
  );
});

suite.over('large and small calls in flight together do not mix', async (t, transport) => {
  const client = await suite.connect(t, transport, rings);
  const mixed = [300_000, 1, 900_000, 0, WHOLE, 64, 20_000, 500_000, 7];
  const answers = await Promise.all(mixed.map((size) => echo(client, size)));
  t.deepEqual(
    answers,
    mixed.map((size) => digest(pattern(size, size & 7))),
  );
});

suite.over('one byte more than maxMessageBytes fails its call alone', async (t, transport) => {
  const client = await suite.connect(t, transport, rings);
  await t.throwsAsync(client.call('echoRaw', pattern(MAX + 1)), { code: 'ERR_PILLION_TOO_LARGE' });
  t.throws(() => client.callSync('echoRaw', pattern(MAX + 1)), { code: 'ERR_PILLION_TOO_LARGE' });
  // The answer's payload is a little longer than its bytes.
  await t.throwsAsync(client.call('bytes', MAX), { code: 'ERR_PILLION_TOO_LARGE' });
  t.is(((await client.call('bytes', MAX - 100)) as Uint8Array).length, MAX - 100);
  t.is(client.stats().connections, 1);
});
