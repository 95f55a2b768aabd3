import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Processors that this process may really use at once: affinity and, in a container, the quota of its control group. */
export function usableProcessors(): number {
  return Math.min(availableParallelism(), quota());
}

// Newer versions of Node count the quota themselves; 20 does not. "max 100000" or "150000 100000": µs per period.
function quota(): number {
  try {
    const [limit, period] = readFileSync('/sys/fs/cgroup/cpu.max', 'utf8').split(' ').map(Number);
    return limit !== undefined && period !== undefined && limit > 0 && period > 0 ? limit / period : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
