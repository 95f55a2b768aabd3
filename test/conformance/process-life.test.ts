import { type ChildExit, startChild } from '../helpers/child.js';
import { inTime } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { Suite, type Transport } from './fixtures/suite.js';

const suite = new Suite();

/** Runs the app until its process ends by itself. */
async function run(what: string, transport: Transport, path = suite.path): Promise<ChildExit> {
  const child = await startChild(new URL('./fixtures/app.js', import.meta.url), {
    args: [what, path, transport === 'shm' ? 'auto' : 'socket'],
    isPlain: true,
  });
  try {
    return await inTime(`the process of "${what}" ends`, child.exited, 15_000);
  } finally {
    await child.stop();
  }
}

const staysAlive = {
  'first call': 'answer\nexit 0\n',
  'first ready': 'ready\nexit 0\n',
  'first flush': 'flushed\nexit 0\n',
  'pending call': '42\nexit 0\n',
  'pending timeout': 'ERR_PILLION_TIMEOUT\nexit 0\n',
};

for (const [what, output] of Object.entries(staysAlive)) {
  suite.over(`a process lives as long as it waits for something (${what}), and ends then`, async (t, transport) => {
    t.deepEqual(await run(what, transport), { code: 0, signal: null, output });
  });
}

const endsByItself = {
  'idle, never connected': 'exit 0\n',
  'idle, connected': 'idle now\nexit 0\n',
  'events, then nothing': 'exit 0\n',
  'callSync, then nothing': 'sync\nexit 0\n',
  'close, then nothing': 'closed\nexit 0\n',
  'flush in vain': 'ERR_PILLION_TIMEOUT\nexit 0\n',
  'aborted waits, then close': 'aborted\nERR_PILLION_INVALID_ARGUMENT\nexit 0\n',
};

for (const [what, output] of Object.entries(endsByItself)) {
  suite.over(`an idle client keeps no process alive (${what})`, async (t, transport) => {
    t.deepEqual(await run(what, transport), { code: 0, signal: null, output });
  });
}

suite.over('exiting in the middle of a callback ends the process with its code', async (t, transport) => {
  t.deepEqual(await run('exit in a callback', transport), { code: 7, signal: null, output: 'exit 7\n' });
});

suite.over('without a sidecar a process waits for its timeouts and ends', async (t, transport) => {
  for (const what of ['pending without a sidecar', 'ready in vain']) {
    t.deepEqual(await run(what, transport, socketPath()), { code: 0, signal: null, output: 'ERR_PILLION_TIMEOUT\nexit 0\n' }, what);
  }
  t.deepEqual(await run('idle, never connected', transport, socketPath()), { code: 0, signal: null, output: 'exit 0\n' });
});

suite.over('an unreferenced server keeps no process alive', async (t, transport) => {
  t.deepEqual(await run('unref server', transport, socketPath()), { code: 0, signal: null, output: 'exit 0\n' });
});

suite.over('events sent right before the process ends reach the sidecar', async (t, transport) => {
  await suite.heardSoFar();
  await run('events, then nothing', transport);
  if (transport === 'shm') t.is((await suite.heard(100)).length, 100);
  else t.pass('over the socket this is promised only for what the kernel has');
});
