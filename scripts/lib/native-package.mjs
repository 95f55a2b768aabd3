import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { NapiCli, readNapiConfig } from '@napi-rs/cli';
import { platformPackage } from '../../dist/src/native.js';

/**
 * Makes the npm package that carries the binary for this platform, with those commands of @napi-rs/cli that need no Rust: create-npm-dirs
 * writes its package.json and README, artifacts puts the binary in.
 *
 * The commands run in a copy that holds package.json alone. In the checkout, artifacts would also put the binary beside package.json and
 * rewrite the main entry: a second binary there, older than the next build, is one more thing to load by mistake.
 */
export async function makeNativePackages({ root, binary, artifactsDirectory, npmDirectory, log = () => {} }) {
  const { binaryName, packageName, targets } = await readNapiConfig(join(root, 'package.json'));
  const target = hostTarget(packageName, targets);
  const fileName = `${binaryName}.${target.platformArchABI}.node`;

  checkLoads(binary);
  log(`${binary} needs ${await neededLibraries(binary)}`);
  await mkdir(artifactsDirectory, { recursive: true });
  await copyFile(binary, join(artifactsDirectory, fileName));
  log(`${binary} staged as ${join(artifactsDirectory, fileName)}`);

  const copy = await mkdtemp(join(tmpdir(), 'pillion-pack-'));
  try {
    await writeManifest(root, copy);
    const cli = new NapiCli();
    await cli.createNpmDirs({ cwd: copy, npmDir: 'npm' });
    await cli.artifacts({ cwd: copy, npmDir: 'npm', outputDir: artifactsDirectory });
    const packages = targets.map(({ platformArchABI }) => ({
      name: `${packageName}-${platformArchABI}`,
      directory: join(npmDirectory, platformArchABI),
    }));
    for (const { name, directory } of packages) {
      await rm(directory, { recursive: true, force: true });
      await cp(join(copy, 'npm', basename(directory)), directory, { recursive: true });
      await copyFile(join(root, 'LICENSE'), join(directory, 'LICENSE'));
      log(`${name} made in ${directory}`);
    }
    return packages;
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

/** The configured target whose package the loader asks for on this machine. */
function hostTarget(packageName, targets) {
  const wanted = platformPackage();
  const target = targets.find(({ platformArchABI }) => `${packageName}-${platformArchABI}` === wanted);
  if (target) return target;
  const known = targets.map(({ triple }) => triple).join(', ');
  throw new Error(`this machine needs ${wanted}; napi.targets in package.json has only ${known}: name a target there once it is built`);
}

/** A binary for another platform, or a broken one, must not be published under this platform's name. */
function checkLoads(binary) {
  if (!existsSync(binary)) throw new Error(`${binary} is not there: build it with "npm run build:native"`);
  try {
    process.dlopen({ exports: {} }, binary);
  } catch (error) {
    throw new Error(`this machine cannot load ${binary}: ${error.message}`, { cause: error });
  }
}

/** The newest versions of the C and C++ libraries that the binary names: on a host with older ones it will not load. */
async function neededLibraries(binary) {
  const text = await readFile(binary, 'latin1');
  return ['GLIBC', 'GLIBCXX']
    .flatMap((library) => {
      const versions = text.match(new RegExp(`\\b${library}_[\\d.]+`, 'g')) ?? [];
      return versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).slice(-1);
    })
    .join(' and ');
}

/** Without its entry points, which are not part of the copy. */
async function writeManifest(root, directory) {
  const { main, types, exports, ...manifest } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  await writeFile(join(directory, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}
