import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const directories: string[] = [];

process.once('exit', () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** A socket path in a directory of its own, mode 0700, which is removed when the process ends. */
export function socketPath(name = 'test.sock'): string {
  const directory = mkdtempSync(join(tmpdir(), 'pillion-test-'));
  directories.push(directory);
  return join(directory, name);
}
