import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run.mjs';

export const runningMajor = Number(process.versions.node.split('.')[0]);

/**
 * The newest Node of a major version, as an executable. Its own major is the one that runs this; others come from npm, where each platform
 * has a package that carries the binary. (The package `node` only picks one of those, in an install script.)
 */
export async function nodeOfMajor(major, directory) {
  if (major === runningMajor) return { executable: process.execPath, version: process.versions.node };
  const name = `node-${process.platform}-${process.arch}`;
  const home = join(directory, `node-${major}`);
  const executable = join(home, 'node_modules', name, 'bin', 'node');
  if (!existsSync(executable)) await install(home, `${name}@${major}`);
  const { stdout } = await run(executable, ['-p', 'process.versions.node']);
  return { executable, version: stdout.trim() };
}

async function install(home, wanted) {
  await mkdir(home, { recursive: true });
  await writeFile(join(home, 'package.json'), '{ "private": true }\n');
  await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--prefer-offline', wanted], { cwd: home });
}
