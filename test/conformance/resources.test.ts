import { pattern } from '../helpers/bytes.js';
import { until } from '../helpers/deadline.js';
import { type Resources, resources } from '../helpers/resources.js';
import { Suite } from './fixtures/suite.js';

const suite = new Suite();

async function allGone(before: Resources, now: () => Promise<Resources> | Resources): Promise<void> {
  let last: Resources = before;
  await until('descriptors and mappings are as before', async () => {
    last = await now();
    return last.descriptors <= before.descriptors && last.mappings <= before.mappings;
  }).catch((error: Error) => {
    throw new Error(`${error.message}: before ${JSON.stringify(before)}, now ${JSON.stringify(last)}`);
  });
}

suite.over('connecting and closing many times leaves no descriptor and no mapping on either side', async (t, transport) => {
  // The first connection also opens what stays.
  await (await suite.connect(t, transport)).close();
  await until('it has left', async () => (await suite.sidecar.ask<{ clients: number }>('stats')).clients === 0);
  const [here, there] = [resources(), await suite.sidecar.ask<Resources>('resources')];
  for (let round = 0; round < 25; round++) {
    const client = await suite.connect(t, transport);
    client.send('blob', pattern(5000));
    await client.call('echoRaw', pattern(round * 1000));
    void client.call('hang', 'left behind').catch(() => {});
    await client.close();
  }
  await allGone(here, () => resources());
  await allGone(there, () => suite.sidecar.ask<Resources>('resources'));
  t.is(resources().memfds, 0);
  t.is(resources().mappings, 0);
});

suite.over('a connection over shared memory costs one memfd at the client and none at the server', async (t, transport) => {
  await until('all others have left', async () => (await suite.sidecar.ask<{ clients: number }>('stats')).clients === 0);
  const here = resources();
  const there = await suite.sidecar.ask<Resources>('resources');
  const client = await suite.connect(t, transport);
  await client.call('echo', 1);
  const isShared = transport === 'shm';
  t.is(resources().memfds - here.memfds, isShared ? 1 : 0);
  // How many there are of a segment is the kernel's business: it joins neighbours.
  const mappings = resources().mappings - here.mappings;
  t.is(mappings > 0, isShared);
  const now = await suite.sidecar.ask<Resources>('resources');
  t.is(now.memfds, 0);
  t.is(now.mappings - there.mappings, mappings);
  t.is(now.sockets - there.sockets, 1);
});
