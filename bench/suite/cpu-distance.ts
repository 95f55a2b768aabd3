import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { measureLine } from '../transports/limit.js';

const probeMs = 8;
const firstProbes = 5;
/** Beyond this share of the shortest round trip of the run, the CPUs are elsewhere. Within one placement it varies by a tenth. */
const usualShare = 1.5;
const pauseMs = 80;

/**
 * How far apart the two CPUs are: how long a cache line takes from one to the other and back, measured by a C++ program between the rounds of held rows. Where CPUs are virtual
 * the host moves them, and then a line, and with it every message through shared memory, takes three to four times as long for seconds or minutes. A round during which that
 * happened says more about the host than about a transport.
 */
export class CpuDistance {
  readonly #directory: string;
  /** For all waits of the run together. */
  #patienceMs: number;
  #leastUs = Number.POSITIVE_INFINITY;
  #isKnown = true;

  constructor(runDirectory: string, patienceMs: number) {
    this.#directory = mkdtempSync(join(runDirectory, 'distance-'));
    this.#patienceMs = patienceMs;
  }

  /** Finds out what is usual. */
  async learn(): Promise<void> {
    for (let probe = 0; probe < firstProbes && this.#isKnown; probe++) {
      await this.isUsual();
      await sleep(pauseMs);
    }
  }

  /** Is it now what it was at the best of times? True where it can't be measured. */
  async isUsual(): Promise<boolean> {
    const us = await this.#probe();
    if (us === null) return true;
    this.#leastUs = Math.min(this.#leastUs, us);
    return us <= this.#leastUs * usualShare;
  }

  /** Waits until it is again; false when the patience of the run has come to its end. */
  async untilUsual(): Promise<boolean> {
    while (!(await this.isUsual())) {
      if (this.#patienceMs <= 0) return false;
      this.#patienceMs -= pauseMs + probeMs;
      await sleep(pauseMs);
    }
    return true;
  }

  async #probe(): Promise<number | null> {
    if (!this.#isKnown) return null;
    try {
      return await measureLine(this.#directory, probeMs);
    } catch {
      // Without a compiler, or a second CPU, there is nothing to compare with.
      this.#isKnown = false;
      return null;
    }
  }
}
