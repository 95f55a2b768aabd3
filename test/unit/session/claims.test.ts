import test, { type ExecutionContext } from 'ava';
import { type Claim, connect, contract, event } from '../../../src/index.js';
import { collect } from '../../helpers/collect.js';
import { until } from '../../helpers/deadline.js';
import { socketPath } from '../../helpers/socket-path.js';

/** Claims of a client that has no sidecar. */

const frames = contract('frames', { frame: event({ codec: 'raw' }) });
const KIB = 1024;

for (const transport of ['auto', 'socket'] as const) {
  for (const checkViews of [true, false]) {
    const how = `${transport === 'auto' ? 'shared' : 'private'} memory, ${checkViews ? 'checked' : 'raw'} views`;
    const lonely = (t: ExecutionContext) => {
      const client = connect(frames, { path: socketPath(), transport, arenaBytes: 64 * KIB, checkViews });
      t.teardown(() => client.close());
      return client;
    };

    test.serial(`a claim that was dropped gives its memory back, and is counted and reported: ${how}`, async (t) => {
      const warnings: (Error & { code?: string })[] = [];
      const onWarning = (warning: Error): void => void warnings.push(warning);
      process.on('warning', onWarning);
      t.teardown(() => process.off('warning', onWarning));
      const client = lonely(t);
      // The place of the claim has a name, and is another one in each round.
      const places = { [`dropIn${transport}${checkViews}`]: () => void client.claim('frame', 64 * KIB)?.view.fill(1) };
      for (const drop of Object.values(places)) drop();
      t.is(client.stats().claimsOpen, 1);
      t.is(client.claim('frame', 1), null);
      await collect('the claim is taken back', () => client.stats().claimsLeaked === 1);
      t.is(client.stats().arenaUsedBytes, 0);
      t.is(client.stats().claimsOpen, 0);
      t.is((client.claim('frame', 64 * KIB) as Claim).view.length, 64 * KIB);
      if (!checkViews) return;
      await until('it is reported', () =>
        warnings.some(({ code, message }) => code === 'PILLION_LEAK' && message.includes(Object.keys(places)[0] as string)),
      );
      t.true(warnings.every(({ message }) => /frame.*dropped without commit or abort/.test(message)));
    });

    test.serial(`a claim of which any part is held is not taken back: ${how}`, async (t) => {
      const client = lonely(t);
      const parts = [client.claim('frame', 5)?.view, client.claim('frame', 5)?.commit, client.claim('frame', 5)?.abort];
      for (let round = 0; round < 3; round++) await collect('nothing in particular', () => true);
      const { claimsOpen, claimsLeaked } = client.stats();
      t.deepEqual({ claimsOpen, claimsLeaked }, { claimsOpen: 3, claimsLeaked: 0 });
      t.is(parts.length, 3);
      t.true((parts[1] as Claim['commit'])());
    });

    test.serial(`claims that were committed, aborted, or outlived their client are no leaks: ${how}`, async (t) => {
      const client = lonely(t);
      client.claim('frame', 5)?.commit();
      client.claim('frame', 5)?.abort();
      const other = lonely(t);
      other.claim('frame', 5);
      await other.close();
      for (let round = 0; round < 3; round++) await collect('nothing in particular', () => true);
      t.is(client.stats().claimsLeaked + other.stats().claimsLeaked, 0);
    });
  }
}

test.serial('arenaBytes that cannot be is refused', (t) => {
  for (const arenaBytes of [1, 4097, -4096, 2 ** 30 + 4096, '4096', Number.NaN]) {
    t.throws(() => connect(frames, { path: socketPath(), arenaBytes: arenaBytes as number }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  }
});

test.serial('only raw events can be declared to be borrowed', (t) => {
  t.throws(() => event({ codec: 'json', borrow: true } as never), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
});
