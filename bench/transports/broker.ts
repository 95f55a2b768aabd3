import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCompanion } from './companion.js';

const startTimeoutMs = 8_000;

/** Starts a broker that dies with this process, and waits until it accepts connections. */
export async function startBroker(
  command: string,
  args: string[],
  where: { path: string } | { port: number; host: string },
): Promise<ChildProcess> {
  const broker = startCompanion(command, args, 'ignore');
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

/** For a broker that can't be asked which port it was given. */
export async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
