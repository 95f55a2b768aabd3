import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Result } from '../../bench/result.js';
import { platformPackage } from '../../src/native.js';

/** `npx pillion-bench`, as somebody has it who installed pillion: from the tarballs of a release, in a folder with nothing else in it. */

const root = process.cwd();
const work = mkdtempSync(join(tmpdir(), 'pillion-bench-package-'));
const consumer = join(work, 'consumer');
const { version, peerDependencies, peerDependenciesMeta, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
/** Other optional peers are for other parts of the library. */
const peers = ['cli-progress', 'cli-table3', 'hdr-histogram-js', 'tinybench'].filter((name) => name in peerDependencies);

interface Ending {
  code: number;
  stdout: string;
  stderr: string;
}

test.before('makes the tarballs and installs them', async (t) => {
  t.timeout(110_000);
  const tarballs = join(work, 'tarballs');
  await succeed(process.execPath, [join(root, 'scripts/pack-native.mjs'), '--tarballs', tarballs], root);
  mkdirSync(consumer);
  writeFileSync(join(consumer, 'package.json'), '{ "private": true }\n');
  await install(...[`pillion-${version}.tgz`, `${platformPackage()}-${version}.tgz`].map((file) => join(tarballs, file)));
});

test.after.always('removes its folder', () => rmSync(work, { recursive: true, force: true }));

test.serial('what only the bench needs is not installed with pillion, and not needed by it', async (t) => {
  t.deepEqual(
    peers.filter((name) => peerDependenciesMeta[name]?.optional !== true),
    [],
  );
  // They are not there now. Nor shall the bench itself be.
  const installed = join(consumer, 'node_modules/pillion/dist/bench');
  renameSync(installed, `${installed}-away`);
  t.teardown(() => renameSync(`${installed}-away`, installed));
  const script = "const { connect } = await import('pillion'); process.stdout.write(typeof connect);";
  t.is(await succeed(process.execPath, ['--input-type=module', '--eval', script]), 'function');
  for (const name of peers) t.false(existsSync(join(consumer, 'node_modules', name)), name);
});

test.serial('without those packages the command says how to get them', async (t) => {
  const { code, stderr } = await run('npx', ['--no-install', 'pillion-bench', '--payload', '512']);
  t.is(code, 2);
  t.regex(stderr, new RegExp(`npm install --save-dev ${peers.join(' ')}`));
});

test.serial('with them it measures a payload and a rate of one’s own', async (t) => {
  t.timeout(110_000);
  await install(...peers.map((name) => `${name}@${devDependencies[name]}`));
  const own = ['--payload', '512', '--rate', '500', '--transports', 'shm,http', '--duration', '0.3', '--json', 'result.json'];
  const { code, stdout, stderr } = await run('npx', ['--no-install', 'pillion-bench', ...own]);
  t.is(code, 0, stderr);
  t.regex(stdout, /shm/);
  const { rows, environment } = JSON.parse(readFileSync(join(consumer, 'result.json'), 'utf8')) as Result;
  t.is(environment.commit, `pillion ${version}`);
  t.deepEqual(
    rows.map(({ transport, payloadBytes, ratePerSec }) => [transport, payloadBytes, ratePerSec]),
    [
      ['shm', 512, 500],
      ['http', 512, 500],
    ],
  );
  // On a busy machine a rate may be missed, and then it has to say so.
  for (const { status } of rows) t.regex(status, /^ok$|^failed: rate missed/);
});

test.serial('a transport of one’s own is measured beside pillion, and one whose package is missing is skipped with a note', async (t) => {
  t.timeout(60_000);
  writeFileSync(join(consumer, 'datagram.mjs'), readFileSync(join(root, 'examples/bench/datagram.mjs')));
  const transports = 'shm,zeromq,./datagram.mjs';
  const own = ['--payload', '512', '--transports', transports, '--duration', '0.1', '--rounds', '1', '--json', 'own.json'];
  const { code, stdout, stderr } = await run('npx', ['--no-install', 'pillion-bench', ...own]);
  t.is(code, 0, stderr);
  const { rows } = JSON.parse(readFileSync(join(consumer, 'own.json'), 'utf8')) as Result;
  t.deepEqual(
    rows.map(({ status }) => status),
    ['ok', 'skipped: needs the package zeromq: npm install zeromq', 'ok'],
  );
  t.regex(stdout, /own, zeromq: skipped: needs the package zeromq/);
});

async function install(...wanted: string[]): Promise<void> {
  await succeed('npm', ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', ...wanted]);
}

async function succeed(command: string, args: string[], cwd = consumer): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, cwd);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`);
  return stdout;
}

async function run(command: string, args: string[], cwd = consumer): Promise<Ending> {
  // npm tells the scripts that it runs where its project is; an npm that starts from there would work in the wrong folder.
  const { npm_config_local_prefix: _prefix, ...inherited } = process.env;
  const child = spawn(command, args, { cwd, env: inherited, stdio: ['ignore', 'pipe', 'pipe'], timeout: 100_000 });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout, stderr };
}
