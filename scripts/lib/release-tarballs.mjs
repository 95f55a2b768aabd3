import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NapiCli } from '@napi-rs/cli';
import { makeNativePackages } from './native-package.mjs';
import { run } from './run.mjs';

/**
 * Makes the tarballs of a release: one per platform, and the main one, which lists those as optional dependencies of exactly this version.
 * That list is written into a copy: committed, it would make every checkout ask the registry for binaries that it builds itself.
 */
export async function makeReleaseTarballs({ root, binary, destination, log = () => {} }) {
  await mkdir(destination, { recursive: true });
  const work = await mkdtemp(join(tmpdir(), 'pillion-release-'));
  try {
    const main = join(work, 'package');
    const npmDirectory = join(main, 'npm');
    await unpackMain(root, work);
    const packages = await makeNativePackages({ root, binary, artifactsDirectory: join(work, 'artifacts'), npmDirectory, log });
    await new NapiCli().prePublish({ cwd: main, npmDir: 'npm', skipOptionalPublish: true, ghRelease: false, tagStyle: 'npm' });

    const tarballs = [];
    for (const directory of [...packages.map((each) => each.directory), main]) tarballs.push(await pack(directory, destination));
    for (const tarball of tarballs) log(`${tarball} made`);
    return tarballs;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The files of the main package as npm chooses them, in `directory`/package. */
async function unpackMain(root, directory) {
  const tarball = await pack(root, directory);
  await run('tar', ['-xzf', tarball, '-C', directory]);
}

async function pack(directory, destination) {
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', destination], { cwd: directory });
  const [{ filename }] = JSON.parse(stdout);
  return join(destination, filename);
}
