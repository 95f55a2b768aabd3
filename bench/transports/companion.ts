import type { ChildProcess, StdioOptions } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Unavailable } from '../rig/questions.js';

const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];

/** Starts a program that is no Node.js and dies with this process, even when this one is killed. */
export function startCompanion(command: string, args: string[], stdio: StdioOptions): ChildProcess {
  const program = find(command);
  const guard = find('setpriv');
  if (!program) throw new Unavailable(`${command} is not installed`);
  if (!guard) throw new Unavailable(`setpriv (util-linux) is not installed, and nothing else would end ${command} with the sidecar`);
  return spawn(guard, ['--pdeathsig', 'KILL', program, ...args], { stdio });
}

function find(command: string): string | undefined {
  return folders.map((folder) => join(folder, command)).find((path) => existsSync(path));
}
