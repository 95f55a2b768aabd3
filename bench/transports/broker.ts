import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Unavailable } from '../rig/questions.js';

const startTimeoutMs = 8_000;
const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];

/** Starts a broker that dies with this process, even when this one is killed, and waits until it accepts connections. */
export async function startBroker(
  command: string,
  args: string[],
  where: { path: string } | { port: number; host: string },
): Promise<ChildProcess> {
  const program = folders.map((folder) => join(folder, command)).find((path) => existsSync(path));
  const guard = folders.map((folder) => join(folder, 'setpriv')).find((path) => existsSync(path));
  if (!program) throw new Unavailable(`${command} is not installed`);
  if (!guard) throw new Unavailable('setpriv (util-linux) is not installed, and nothing else would end the broker with the sidecar');
  const broker = spawn(guard, ['--pdeathsig', 'KILL', program, ...args], { stdio: 'ignore' });
  const deadline = performance.now() + startTimeoutMs;
  while (!(await accepts(where))) {
    if (broker.exitCode !== null) throw new Error(`${command} ended with exit code ${broker.exitCode}`);
    if (performance.now() > deadline) throw new Error(`${command} accepts no connections after ${startTimeoutMs} ms`);
    await sleep(20);
  }
  return broker;
}

function accepts(where: { path: string } | { port: number; host: string }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(where);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
