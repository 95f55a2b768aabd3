import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { compileNative } from '../native/compile.js';
import { median } from '../rig/histogram.js';

const run = promisify(execFile);

/** What `native/calm.cc` prints: nanoseconds. */
export type Reading = Record<'line' | 'wake' | 'syscall' | 'memcpy', number>;

/** Within one placement of the CPUs the round trip of a cache line varies by less than this, and from one to another by more. */
const lineWindow = 2.25;
/** Farther than these factors above the usual value, or below it where two are given, something else is going on. */
const usualWithin: Record<keyof Reading, { above: number; below?: number }> = {
  line: { above: 1.5, below: 1.5 },
  wake: { above: 1.5, below: 1.5 },
  syscall: { above: 1.12 },
  memcpy: { above: 1.25 },
};
const firstLooks = 25;
const pauseMs = 40;
const timeoutMs = 5_000;

/**
 * Whether the machine is as it mostly is. Where CPUs are virtual, the host moves them, and then a cache line takes several times as long from one to the other, for parts of seconds or minutes; and where its
 * other guests are busy, waking a sleeper does, or everything that the CPU does by itself. What was measured meanwhile says more about the host than about a transport. A C++ program looks
 * at all of that in 20 ms, between the turns of held rows.
 */
export class Calm {
  readonly #directory: string;
  readonly #seen: Reading[] = [];
  #usual: Reading | undefined;
  /** Of those that were seen, how many before this run. */
  #seenBefore = 0;
  #patienceMs = 0;
  #isKnown = true;

  constructor(runDirectory: string) {
    this.#directory = mkdtempSync(join(runDirectory, 'calm-'));
  }

  /** Begins a run, for which the usual is drawn from all that was seen, also in the runs before: they are to be compared. */
  async begin(): Promise<void> {
    this.#usual = undefined;
    this.#seenBefore = this.#seen.length;
    for (let look = 0; look < firstLooks && this.#isKnown; look++) {
      await this.isNow();
      await sleep(pauseMs);
    }
    this.#usual = usualOf(this.#seen);
  }

  /** For the waits to come, beside what is left. */
  grant(patienceMs: number): void {
    this.#patienceMs += patienceMs;
  }

  /** True where it can't be seen. */
  async isNow(): Promise<boolean> {
    const reading = await this.#look();
    if (reading === null) return true;
    this.#seen.push(reading);
    return this.#usual === undefined || isUsual(reading, this.#usual);
  }

  /** Waits for it; false when the patience has come to its end. */
  async untilNow(): Promise<boolean> {
    const begun = performance.now();
    while (!(await this.isNow())) {
      if (performance.now() - begun >= this.#patienceMs) break;
      await sleep(pauseMs);
    }
    this.spend(performance.now() - begun);
    return this.#patienceMs > 0;
  }

  /** Medians of what was seen in this run; null where nothing could be. */
  get machine(): Reading | null {
    return mediansOf(this.#seen.slice(this.#seenBefore));
  }

  /** Time that was lost otherwise. */
  spend(ms: number): void {
    this.#patienceMs = Math.max(0, this.#patienceMs - ms);
  }

  async #look(): Promise<Reading | null> {
    if (!this.#isKnown) return null;
    try {
      const program = await compileNative('calm', this.#directory);
      const { stdout } = await run(program, { timeout: timeoutMs });
      return JSON.parse(stdout) as Reading;
    } catch {
      // Without a compiler, or a second CPU, there is nothing to compare with.
      this.#isKnown = false;
      return null;
    }
  }
}

/** Medians of what was seen in that placement of the CPUs which was there most often. */
export function usualOf(seen: readonly Reading[]): Reading | undefined {
  const placements = seen.map(({ line: least }) => seen.filter(({ line }) => line >= least && line <= least * lineWindow));
  const [first, ...others] = placements;
  if (first === undefined) return undefined;
  const most = others.reduce((best, each) => (each.length > best.length ? each : best), first);
  return mediansOf(most) ?? undefined;
}

function mediansOf(readings: readonly Reading[]): Reading | null {
  if (readings.length === 0) return null;
  const of = (name: keyof Reading) => median(readings.map((reading) => reading[name]));
  return { line: of('line'), wake: of('wake'), syscall: of('syscall'), memcpy: of('memcpy') };
}

export function isUsual(reading: Reading, usual: Reading): boolean {
  return Object.entries(usualWithin).every(([name, { above, below = Number.POSITIVE_INFINITY }]) => {
    const factor = reading[name as keyof Reading] / usual[name as keyof Reading];
    return factor <= above && factor >= 1 / below;
  });
}
