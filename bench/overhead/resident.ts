import { readFileSync } from 'node:fs';

/** Of this process, code and shared pages included: a segment of pillion counts in both processes that map it. */
export function residentMiB(): number {
  const kiB = Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  return Math.round(kiB / 102.4) / 10;
}
