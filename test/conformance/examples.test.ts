import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';

const example = (file: string): string => fileURLToPath(new URL(`../../examples/${file}`, import.meta.url));

test('the hello example of the README does what it says', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'pillion-'));
  const env = { ...process.env, PILLION_SOCKET: join(directory, 's.sock') };
  const sidecar = spawn(process.execPath, [example('hello/sidecar.js')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => {
    sidecar.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  });
  let heard = '';
  sidecar.stdout.on('data', (chunk) => {
    heard += chunk;
  });
  const { stdout } = await promisify(execFile)(process.execPath, [example('hello/app.js')], { env, timeout: 30_000 });
  t.is(stdout, "{ user: 'ali' }\n{ user: 'ali' }\nEAUTH unknown token\nover shm\n");
  sidecar.kill('SIGTERM');
  t.is(await exitCode(sidecar), 0);
  t.regex(heard, /info hello from process \d+/);
});

for (const mode of ['development', 'production']) {
  test(`the zero-copy example does what it says, in ${mode}`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'pillion-'));
    const env = { ...process.env, PILLION_SOCKET: join(directory, 's.sock'), NODE_ENV: mode };
    const sidecar = spawn(process.execPath, [example('zero-copy/sidecar.js')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => {
      sidecar.kill('SIGKILL');
      rmSync(directory, { recursive: true });
    });
    let heard = '';
    sidecar.stdout.on('data', (chunk) => {
      heard += chunk;
    });
    const { stdout } = await promisify(execFile)(process.execPath, [example('zero-copy/app.js')], { env, timeout: 30_000 });
    t.is(stdout, 'over shm 0 bytes in use\n');
    sidecar.kill('SIGTERM');
    t.is(await exitCode(sidecar), 0);
    t.is(heard, [10, 20, 30].map((number) => `frame ${number}: 1048576 bytes of ${number}\n`).join(''));
  });
}

function exitCode(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('close', (code) => resolve(code)));
}
