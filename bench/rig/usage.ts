import { readFileSync } from 'node:fs';

/** What a process has consumed since its start; differences of two are what a measurement reports. */
export interface Usage {
  cpuUs: number;
  /** How often a thread of the process went to sleep; while idle, each one was a wake-up by something. */
  sleeps: number;
  /** Those, and how often a thread was interrupted for another. */
  switches: number;
}

export function takeUsage(): Usage {
  const { userCPUTime, systemCPUTime, voluntaryContextSwitches, involuntaryContextSwitches } = process.resourceUsage();
  return {
    cpuUs: userCPUTime + systemCPUTime,
    sleeps: voluntaryContextSwitches,
    switches: voluntaryContextSwitches + involuntaryContextSwitches,
  };
}

/** Exact only in a process that was started with --expose-gc. */
export function liveHeapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

/** Bytes of distinct memfd pages mapped by this process; a segment that is mapped twice in a row counts once. */
export function sharedBytes(): number {
  const ends = new Map<string, number>();
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ (\d+) +\/memfd:/.exec(line);
    if (!match) continue;
    const [start = 0, end = 0, offset = 0] = match.slice(1, 4).map((digits) => Number.parseInt(digits, 16));
    const inode = match[4] as string;
    ends.set(inode, Math.max(ends.get(inode) ?? 0, offset + end - start));
  }
  return [...ends.values()].reduce((sum, bytes) => sum + bytes, 0);
}
