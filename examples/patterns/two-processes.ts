import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Lets one file be both programs of an example: started by hand it is the app, and starts itself again as the sidecar. In real life the two are started
 * by whoever runs your processes, and never know of each other.
 */
export async function twoProcesses(
  app: (path: string) => Promise<void>,
  sidecar: (path: string) => Promise<{ close(): Promise<void> }>,
): Promise<void> {
  const path = process.argv[2];
  if (path !== undefined) {
    const server = await sidecar(path);
    process.on('disconnect', () => server.close());
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), 'pillion-'));
  const child = fork(process.argv[1] as string, [join(directory, 'sidecar.sock')]);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    await app(join(directory, 'sidecar.sock'));
  } finally {
    child.disconnect();
    await ended;
    rmSync(directory, { recursive: true });
  }
}
