import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../environment.js';
import { Unavailable } from '../rig/questions.js';

const run = promisify(execFile);
const folder = join(packageRoot, 'bench', 'native');
const headers = ['common.h', 'ring.h', 'samples.h'];

/** Compiles a program that measures the machine, once for all lanes whose folders lie side by side; returns its path. */
export async function compileNative(name: 'limits' | 'calm', laneDirectory: string): Promise<string> {
  const compiler = process.env['CXX'] ?? 'g++';
  const source = join(folder, `${name}.cc`);
  const program = join(sharedFolder(laneDirectory), `${name}-${digest(compiler, source)}`);
  if (existsSync(program)) return program;
  const fresh = `${program}.${process.pid}`;
  await compile(compiler, source, fresh);
  // Other lanes may compile at the same time; whichever comes last replaces the same with the same.
  renameSync(fresh, program);
  return program;
}

/** That of the whole run, unless others may write to it: what lies there is going to be executed. */
function sharedFolder(laneDirectory: string): string {
  const parent = dirname(laneDirectory);
  const { uid, mode } = statSync(parent);
  return uid === process.getuid?.() && (mode & 0o022) === 0 ? parent : laneDirectory;
}

function digest(compiler: string, source: string): string {
  const hash = createHash('sha256').update(compiler);
  for (const file of [source, ...headers.map((name) => join(folder, name))]) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

async function compile(compiler: string, source: string, program: string): Promise<void> {
  try {
    await run(compiler, ['-O2', '-std=c++17', '-Wall', '-Wextra', '-o', program, source], { timeout: 30_000 });
  } catch (error) {
    const { code, stderr, message } = error as NodeJS.ErrnoException & { stderr?: string };
    if (code === 'ENOENT') throw new Unavailable(`no C++ compiler (CXX=${compiler})`);
    throw new Error(`CXX=${compiler} did not compile ${source}: ${stderr?.trim().split('\n')[0] || message}`);
  }
}
