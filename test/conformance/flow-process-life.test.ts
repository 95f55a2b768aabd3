import { type ChildExit, startChild } from '../helpers/child.js';
import { inTime, until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { FlowSuite } from './fixtures/flow-suite.js';
import type { Transport } from './fixtures/suite.js';

const suite = new FlowSuite();

/** Runs the app until its process ends by itself. */
async function run(what: string, transport: Transport, path = suite.path): Promise<ChildExit> {
  const child = await startChild(new URL('./fixtures/flow-once.js', import.meta.url), {
    args: [what, path, transport === 'shm' ? 'auto' : 'socket'],
    isPlain: true,
  });
  try {
    return await inTime(`the process of "${what}" ends`, child.exited, 15_000);
  } finally {
    await child.stop();
  }
}

suite.over('a process lives as long as sendWhenFree waits for room, and ends then', async (t, transport) => {
  t.deepEqual(await run('sendWhenFree with a slow sidecar', transport), { code: 0, signal: null, output: 'accepted\nexit 0\n' });
  t.deepEqual(await run('sendWhenFree in vain', transport), { code: 0, signal: null, output: 'ERR_PILLION_TIMEOUT\nexit 0\n' });
  t.deepEqual(await run('sendWhenFree without a sidecar', transport, socketPath()), {
    code: 0,
    signal: null,
    output: 'ERR_PILLION_TIMEOUT\nexit 0\n',
  });
});

for (const what of ['listening to drain', 'listening to a state and a broadcast']) {
  suite.over(`${what} keeps no process alive`, async (t, transport) => {
    t.deepEqual(await run(what, transport), { code: 0, signal: null, output: 'exit 0\n' });
  });
}

for (const [what, output, code] of [
  ['a lingering event', 'sent\nexit 0\n', 0],
  ['a lingering event, then close', 'closed\nexit 0\n', 0],
] as const) {
  suite.over(`an event that may linger is delivered when its process ends (${what})`, async (t, transport) => {
    await suite.sidecar.ask('takeHeard');
    t.deepEqual(await run(what, transport), { code, signal: null, output });
    await until('it was heard', async () => (await suite.sidecar.ask<unknown[]>('takeHeard')).includes(what));
  });
}

suite.over('a lingering event outlives process.exit', async (t, transport) => {
  await suite.sidecar.ask('takeHeard');
  t.deepEqual(await run('a lingering event, then exit', transport), { code: 3, signal: null, output: 'exit 3\n' });
  if (transport === 'shm') {
    await until('it was heard', async () => (await suite.sidecar.ask<unknown[]>('takeHeard')).includes('a lingering event, then exit'));
  } else {
    t.pass('over the socket this is promised only for what the kernel has');
  }
});
