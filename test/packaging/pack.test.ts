import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';
import { readNapiConfig } from '@napi-rs/cli';
import test from 'ava';
import { publint } from 'publint';
import * as pillion from '../../src/index.js';
import { platformPackage } from '../../src/native.js';

/** What npm's users get: the tarballs of a release, installed into an empty folder with install scripts switched off. */

const root = process.cwd();
const work = mkdtempSync(join(tmpdir(), 'pillion-packaging-'));
const tarballs = join(work, 'tarballs');
const consumer = join(work, 'consumer');
const modules = join(consumer, 'node_modules');
const { version } = readJson(join(root, 'package.json'));

test.before('makes the tarballs and installs them', async (t) => {
  t.timeout(110_000);
  await run(process.execPath, [join(root, 'scripts/pack-native.mjs'), '--tarballs', tarballs], root);
  cpSync(join(root, 'test/packaging/consumer'), consumer, { recursive: true });
  writeFileSync(join(consumer, 'package.json'), '{ "private": true }\n');
  const files = [`pillion-${version}.tgz`, `${platformPackage()}-${version}.tgz`].map((file) => join(tarballs, file));
  await run('npm', ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', ...files], consumer);
});

test.after.always('removes its folder', () => rmSync(work, { recursive: true, force: true }));

test.serial('the main package holds the library, its native sources and the bench, and nothing else', (t) => {
  const files = filesOf(join(modules, 'pillion'));
  const known =
    /^(dist\/src|dist\/bench|src|native|bench\/native|docs)\/|^(package\.json|bench\/report\/style\.css|binding\.gyp|README\.md|CHANGELOG\.md|LICENSE)$/;
  t.deepEqual(
    files.filter((file) => !known.test(file)),
    [],
  );
  t.deepEqual(
    files.filter((file) => /(^|\/)(test|tests|examples|node_modules)\/|\.(node|test\.\w+|log|tgz)$/.test(file)),
    [],
  );
  for (const file of [
    'dist/src/index.js',
    'dist/src/index.d.ts',
    'src/index.ts',
    'native/addon.cc',
    'binding.gyp',
    'README.md',
    'LICENSE',
  ]) {
    t.true(files.includes(file), file);
  }
});

test.serial('the platform package holds the binary under the name and conditions of its target', async (t) => {
  const { binaryName, packageName, targets } = await readNapiConfig(join(root, 'package.json'));
  t.deepEqual(
    targets.map(({ platformArchABI }) => `${packageName}-${platformArchABI}`),
    [platformPackage()],
    'napi.targets names what this machine builds and no more',
  );

  const directory = join(modules, platformPackage());
  const binary = `${binaryName}.${targets[0]?.platformArchABI}.node`;
  t.deepEqual(filesOf(directory), ['LICENSE', 'README.md', 'package.json', binary]);
  const manifest = readJson(join(directory, 'package.json'));
  t.like(manifest, { main: binary, version, os: ['linux'], cpu: ['x64'], libc: ['glibc'], license: 'MIT' });
  t.deepEqual(readFileSync(join(directory, binary)), readFileSync(join(root, 'build/Release/pillion.node')));
});

test.serial('the main package asks for the platform package of exactly its version', (t) => {
  const manifest = readJson(join(modules, 'pillion/package.json'));
  t.deepEqual(manifest.optionalDependencies, { [platformPackage()]: version });
  t.is(readJson(join(root, 'package.json')).optionalDependencies, undefined, 'a checkout builds its own');
});

test.serial('neither package has an install script', (t) => {
  const { packages } = readJson(join(modules, '.package-lock.json'));
  for (const name of ['pillion', platformPackage()]) {
    const { scripts = {}, gypfile = false } = readJson(join(modules, name, 'package.json'));
    t.false(gypfile, name);
    t.deepEqual(
      Object.keys(scripts).filter((script) => /^(pre|post)?install$/.test(script)),
      [],
    );
    t.not(packages[`node_modules/${name}`], undefined);
    t.is(packages[`node_modules/${name}`].hasInstallScript, undefined, name);
  }
});

test.serial('no file names a path of the machine that packed it', (t) => {
  const places = [root, work, homedir()]
    .filter((path) => path !== '/')
    .map((path) => new RegExp(`(?<![\\w./-])${path.replace(/[^\w/]/g, '\\$&')}/`));
  for (const name of ['pillion', platformPackage()]) {
    const directory = join(modules, name);
    const found = filesOf(directory).filter((file) => {
      const text = readFileSync(join(directory, file), 'latin1');
      return places.some((place) => place.test(text));
    });
    t.deepEqual(found, []);
  }
});

test.serial('publint finds nothing to say about the main package', async (t) => {
  const tarball = readFileSync(join(tarballs, `pillion-${version}.tgz`));
  const bytes = tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.byteLength) as ArrayBuffer;
  const { messages } = await publint({ pack: { tarball: bytes }, strict: true });
  t.deepEqual(messages, []);
});

test.serial('an installed app and its sidecar, two processes, talk through shared memory', async (t) => {
  t.timeout(110_000);
  t.deepEqual(await runAppAndSidecar(), { total: 15, transport: 'shm' });
});

test.serial('CommonJS loads it with require', async (t) => {
  const names = JSON.parse(await run(process.execPath, ['common.cjs'], consumer));
  t.deepEqual(new Set(names), new Set(Object.keys(pillion)));
});

const typedApp = `
  import { type Client, connect, contract, event, method } from 'pillion';

  const audit = contract('audit', { log: event<{ line: string }>(), verify: method<{ token: string }, { user: string }>() });
  export const client = connect(audit, { path: '/run/app/audit.sock' });
  export const accepted: boolean = client.send('log', { line: 'started' });
  export const answer: Promise<{ user: string }> = client.call('verify', { token: 'secret' });
  export const same: Client<(typeof audit)['definitions']> = client;
  // @ts-expect-error: the contract has no such event
  client.send('lgo', { line: 'started' });
  // @ts-expect-error: the payload has no such field
  client.send('log', { lines: 'started' });
`;

for (const { resolver, module, files } of [
  { resolver: 'nodenext', module: 'nodenext', files: ['typed.mts', 'typed.cts'] },
  { resolver: 'bundler', module: 'esnext', files: ['typed.ts'] },
]) {
  test.serial(`its types resolve with moduleResolution ${resolver} from ${files.join(' and ')}`, async (t) => {
    t.timeout(110_000);
    for (const file of files) writeFileSync(join(consumer, file), typedApp);
    const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
    const options = ['--ignoreConfig', '--noEmit', '--strict', '--target', 'es2022', '--module', module, '--moduleResolution', resolver];
    await t.notThrowsAsync(run(process.execPath, [tsc, ...options, ...types, ...files], consumer));
  });
}

test.serial('without the platform package it talks over the socket and says what the loader tried', async (t) => {
  t.timeout(110_000);
  const away = join(work, 'away');
  renameSync(join(modules, platformPackage()), away);
  t.teardown(() => renameSync(away, join(modules, platformPackage())));
  const { total, transport, fallbackReason } = await runAppAndSidecar();
  t.like({ total, transport }, { total: 15, transport: 'socket' });
  const installed = join(modules, 'pillion');
  for (const place of [join(installed, 'build/Release/pillion.node'), join(installed, 'build/Debug/pillion.node'), platformPackage()]) {
    t.true(fallbackReason.includes(`${place}: not there`), fallbackReason);
  }
  t.true(fallbackReason.includes(`Install ${platformPackage()}, or run "npm run rebuild:native" in ${installed}`), fallbackReason);
});

test.serial('PILLION_NATIVE_PATH comes first, relative to the working directory', async (t) => {
  t.timeout(110_000);
  const away = join(work, 'elsewhere');
  renameSync(join(modules, platformPackage()), away);
  t.teardown(() => renameSync(away, join(modules, platformPackage())));
  const [binary = ''] = filesOf(away).filter((file) => file.endsWith('.node'));
  const named = { PILLION_NATIVE_PATH: relative(consumer, join(away, binary)) };
  t.like(await runAppAndSidecar(named), { total: 15, transport: 'shm' });

  const { transport, fallbackReason } = await runAppAndSidecar({ PILLION_NATIVE_PATH: 'nowhere.node' });
  t.is(transport, 'socket');
  t.true(fallbackReason.includes(`${join(consumer, 'nowhere.node')}: not there`), fallbackReason);
  t.true(fallbackReason.includes('PILLION_NATIVE_PATH is set'), fallbackReason);
});

test.serial('a binary that does not load is named with the reason', async (t) => {
  t.timeout(110_000);
  const broken = join(work, 'broken.node');
  writeFileSync(broken, 'not a shared object');
  const { transport, fallbackReason } = await runAppAndSidecar({ PILLION_NATIVE_PATH: broken });
  t.is(transport, 'socket');
  t.regex(fallbackReason, /broken\.node: .*(file too short|invalid ELF header)/);
});

test.serial('pack:native makes the package alone and leaves the checkout as it was', async (t) => {
  const before = readFileSync(join(root, 'package.json'), 'utf8');
  const staged = () => readdirSync(root).filter((name) => /^(npm|artifacts)$|\.node$/.test(name));
  const stagedBefore = staged();
  const out = join(work, 'npm');
  await run(process.execPath, ['scripts/pack-native.mjs', '--out', out, '--artifacts', join(work, 'artifacts')], root);
  t.deepEqual(filesOf(join(out, platformPackage().replace('pillion-', ''))).length, 4);
  t.is(readFileSync(join(root, 'package.json'), 'utf8'), before);
  t.deepEqual(staged(), stagedBefore);
});

test.serial('pack:native says which file is missing and how to get it', async (t) => {
  const missing = join(work, 'missing.node');
  const error = await t.throwsAsync(run(process.execPath, ['scripts/pack-native.mjs', '--binary', missing], root));
  t.true(error?.message.includes(`pack:native: ${missing} is not there: build it with "npm run build:native"`), error?.message);
});

interface Outcome {
  total: number;
  transport: string;
  fallbackReason: string;
}

async function runAppAndSidecar(env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const path = join(mkdtempSync(join(work, 's-')), 'orders.sock');
  const sidecar = spawn(process.execPath, ['sidecar.mjs', path], {
    cwd: consumer,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const isGone = once(sidecar, 'exit');
  try {
    const [line] = await Promise.race([once(createInterface(sidecar.stdout), 'line'), isGone]);
    if (line !== 'serving') throw new Error(`the sidecar did not start: ${line}`);
    return JSON.parse(await run(process.execPath, ['app.mjs', path], consumer, env));
  } finally {
    sidecar.kill('SIGKILL');
    await isGone;
  }
}

/** What a program prints; when it fails, everything it printed is in the error. */
async function run(command: string, args: string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  // npm tells the scripts that it runs where its project is; an npm that starts from there would work in the wrong folder.
  const { npm_config_local_prefix: _prefix, ...inherited } = process.env;
  const child = spawn(command, args, { cwd, env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: 100_000 });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const [code, signal] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${signal ?? code}\n${stdout}${stderr}`);
  return stdout;
}

function readJson(path: string) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** The files below a folder, relative to it, sorted. */
function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((file) => statSync(join(directory, file)).isFile())
    .sort();
}
