import { execFile, execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../environment.js';

const run = promisify(execFile);
const buildTimeoutMs = 300_000;

/** The `index.js` of a folder in which pillion was built. */
export function builtLibrary(folder: string): string {
  const library = resolve(folder, 'dist/src/index.js');
  if (!existsSync(library)) throw new Error(`no built pillion in folder=${folder}: run "npm run build" there`);
  return library;
}

/** What to compare with when nobody says: the main branch, or the commit before where this one is it. */
export function defaultBase(): string {
  const head = revision('HEAD');
  return ['origin/main', 'main'].find((name) => ![undefined, head].includes(revision(name))) ?? 'HEAD~1';
}

/** Checks out and builds `ref` beside this checkout; resolves with the path of its library. `folder` is removed at exit. */
export async function buildBase(ref: string, folder: string, progress: (text: string) => void): Promise<string> {
  if (revision(ref) === undefined) throw new Error(`base=${ref} is no commit here; a shallow clone has to be deepened (fetch-depth: 0)`);
  process.on('exit', () => {
    rmSync(folder, { recursive: true, force: true });
    execFileSync('git', ['worktree', 'prune'], { cwd: packageRoot, stdio: 'ignore' });
  });
  progress(`checking out ${ref}`);
  await run('git', ['worktree', 'add', '--detach', folder, ref], { cwd: packageRoot });
  const options = { cwd: folder, timeout: buildTimeoutMs, maxBuffer: 64 * 2 ** 20 };
  if (isSame('package-lock.json', folder)) symlinkSync(join(packageRoot, 'node_modules'), join(folder, 'node_modules'));
  else await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], options);
  progress(`building ${ref}`);
  await run('npm', ['run', 'build'], options);
  return builtLibrary(folder);
}

function isSame(file: string, folder: string): boolean {
  return readFileSync(join(packageRoot, file), 'utf8') === readFileSync(join(folder, file), 'utf8');
}

function revision(name: string): string | undefined {
  try {
    const args = ['rev-parse', '--verify', '--quiet', `${name}^{commit}`];
    return execFileSync('git', args, { cwd: packageRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}
