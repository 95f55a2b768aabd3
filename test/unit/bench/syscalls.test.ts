import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { countSyscalls } from '../../../bench/suite/syscalls.js';

const writes = 1_000;
const script = `
  const { openSync, writeSync } = require('node:fs');
  const nowhere = openSync('/dev/null', 'w');
  process.on('message', () => {
    for (let i = 0; i < ${writes}; i++) writeSync(nowhere, 'x');
    process.send('done');
  });
  process.send('ready');`;

test('system calls of another process are counted while the work lasts', async (t) => {
  t.timeout(60_000);
  const child = spawn(process.execPath, ['--eval', script], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'message');
  const counted = await countSyscalls([child.pid as number], async () => {
    child.send('go');
    return once(child, 'message');
  });
  if (!counted) return t.log('skipped: neither perf nor strace may watch a process here') ?? t.pass();
  t.deepEqual(counted.result[0], 'done');
  t.true(counted.calls >= writes && counted.calls < 2 * writes, `calls=${counted.calls}`);
});
