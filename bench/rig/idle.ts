import { setTimeout as sleep } from 'node:timers/promises';
import type { Link } from '../transports/transport.js';
import type { Usage } from './usage.js';
import { liveHeapBytes, sharedBytes, takeUsage } from './usage.js';

interface Surroundings {
  durationMs: number;
  openAnother(): Promise<Link>;
  peerUsage(): Promise<Usage>;
  peerHeapBytes(): Promise<number>;
}

/** Enough that the heap of one connection stands out from the noise of the collector. */
const connectionCount = 16;
/** A sidecar that has just worked dozes for a while; idle begins after that. */
const restMs = 500;

/** What a connection costs when nothing happens: CPU and wake-ups of both processes, and memory. */
export async function measureIdle(around: Surroundings): Promise<Record<string, number>> {
  const memory = await measureMemory(around);
  await sleep(restMs);
  // The sidecar's answers fall outside this process's window, its own share of them is a fraction of a millisecond.
  const peerBefore = await around.peerUsage();
  const appBefore = takeUsage();
  await sleep(around.durationMs);
  const app = takeUsage();
  const peer = await around.peerUsage();
  const appCpuMs = (app.cpuUs - appBefore.cpuUs) / 1_000;
  const sidecarCpuMs = (peer.cpuUs - peerBefore.cpuUs) / 1_000;
  return {
    idleMs: around.durationMs,
    cpuMs: appCpuMs + sidecarCpuMs,
    appCpuMs,
    sidecarCpuMs,
    sleeps: app.sleeps - appBefore.sleeps + peer.sleeps - peerBefore.sleeps,
    ...memory,
  };
}

async function measureMemory({ openAnother, peerHeapBytes }: Surroundings): Promise<Record<string, number>> {
  const links = [await openAnother()];
  const shared = sharedBytes();
  const appHeap = liveHeapBytes();
  const peerHeap = await peerHeapBytes();
  for (let i = 0; i < connectionCount; i++) links.push(await openAnother());
  const perConnectionKiB = (bytes: number) => Math.round((bytes / connectionCount / 1_024) * 10) / 10;
  const memory = {
    sharedKiB: perConnectionKiB(sharedBytes() - shared),
    appHeapKiB: perConnectionKiB(liveHeapBytes() - appHeap),
    sidecarHeapKiB: perConnectionKiB((await peerHeapBytes()) - peerHeap),
  };
  await Promise.all(links.map((link) => link.close()));
  return memory;
}
