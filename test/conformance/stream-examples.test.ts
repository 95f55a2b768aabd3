import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { inTime } from '../helpers/deadline.js';
import { packageFile } from '../helpers/root.js';

const examples: [name: string, app: string, sidecar: RegExp][] = [
  ['http-over-pillion', 'GET /from-node-http, 0 bytes\nPOST /from-undici, 100000 bytes\n', /^serving HTTP at .*\n$/],
  [
    'tail',
    'error line 10 failed\nerror line 20 failed\nerror line 30 failed\nline 1\nline 2\n',
    /^listening at .*\nthe reader has left\nthe reader has left\n$/,
  ],
  ['upload', 'sum 6\nsum 60\nstored 64\n', /^listening at .*\n$/],
];

for (const [name, app, heard] of examples) {
  const program = (file: string): string => fileURLToPath(new URL(`../../examples/${name}/${file}`, import.meta.url));

  test(`example ${name} does what it says`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'pillion-'));
    const env = { ...process.env, PILLION_SOCKET: join(directory, 's.sock') };
    const sidecar = spawn(process.execPath, [program('sidecar.js')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => {
      sidecar.kill('SIGKILL');
      rmSync(directory, { recursive: true });
    });
    let output = '';
    sidecar.stdout.on('data', (chunk) => {
      output += chunk;
    });
    const closed = once(sidecar, 'close');
    const { stdout } = await promisify(execFile)(process.execPath, [program('app.js')], { env, timeout: 30_000 });
    t.is(stdout, app);
    sidecar.kill('SIGTERM');
    t.deepEqual(await inTime('the sidecar ends', closed), [0, null]);
    t.regex(output, heard);
  });

  test(`example ${name} is short`, (t) => {
    for (const file of ['contract.ts', 'sidecar.ts', 'app.ts']) {
      t.true(readFileSync(packageFile(`examples/${name}/${file}`), 'utf8').split('\n').length <= 41, file);
    }
  });
}
