import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { until } from '../helpers/deadline.js';

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

const patterns: Record<string, string[]> = {
  configuration: [
    "before the sidecar is there { logLevel: 'info', sampling: 1 } (default)",
    "from the sidecar { logLevel: 'info', sampling: 0.5 }",
    'changed debug',
  ],
  announcements: ['first hears of k1', 'first hears of k2', 'second hears of k1', 'told 1', 'told 2'],
  'log-shipping': ['every accepted line arrived', 'full, and says so: true'],
};

for (const [name, lines] of Object.entries(patterns)) {
  test(`the example ${name} does what it says, in at most 40 lines`, async (t) => {
    const file = fileURLToPath(new URL(`../../examples/patterns/${name}.js`, import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 30_000 });
    t.deepEqual(stdout.trimEnd().split('\n').sort(), [...lines].sort());
    const source = fileURLToPath(new URL(`../../../examples/patterns/${name}.ts`, import.meta.url));
    t.true(readFileSync(source, 'utf8').trimEnd().split('\n').length <= 40);
  });
}

test('the middleware examples check tokens, try again, give up, and count', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'pillion-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const env = { ...process.env, PILLION_SOCKET: join(directory, 's.sock') };
  const { stdout } = await promisify(execFile)(process.execPath, [example('middleware/demo.js')], { env, timeout: 30_000 });
  t.is(
    stdout,
    `tea was viewed
price 3 after two failures
EAUTH "price" needs a token
1 too much to do
2 Execution prevented because the circuit breaker is open
3 Execution prevented because the circuit breaker is open
pillion_message_seconds_count{side="server",kind="event",name="viewed",outcome="ok"} 1
pillion_message_seconds_count{side="server",kind="method",name="price",outcome="error"} 8
pillion_message_seconds_count{side="server",kind="method",name="price",outcome="ok"} 1
`,
  );
  for (const name of ['auth', 'metrics', 'resilience', 'demo']) {
    const source = fileURLToPath(new URL(`../../../examples/middleware/${name}.ts`, import.meta.url));
    t.true(readFileSync(source, 'utf8').trimEnd().split('\n').length <= 40, name);
  }
});

test('the counters example makes a page for Prometheus of what a killed app has counted', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'pillion-'));
  const env = { ...process.env, PILLION_SOCKET: join(directory, 's.sock') };
  const sidecar = spawn(process.execPath, [example('counters/sidecar.js')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => {
    sidecar.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  });
  const url = await new Promise<string>((resolve) => sidecar.stdout.once('data', (chunk) => resolve(String(chunk).trim())));
  const app = spawn(process.execPath, [example('counters/app.js')], { env, stdio: 'inherit' });
  t.is(await exitCode(app), null);
  let page = '';
  await until('the page shows what was counted', async () => {
    page = await (await fetch(url)).text();
    return page.includes('orders') && !page.includes('carts');
  });
  t.is(
    page,
    `orders{country="NZ"} 1000
checkout_seconds_bucket{le="0.1"} 0
checkout_seconds_bucket{le="0.5"} 1
checkout_seconds_bucket{le="1"} 1
checkout_seconds_bucket{le="+Inf"} 1
checkout_seconds_sum{} 0.3
checkout_seconds_count{} 1
`,
  );
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
