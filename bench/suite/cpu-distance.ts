import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../rig/histogram.js';
import { measureLine } from '../transports/limit.js';

const probeMs = 8;
const firstProbes = 5;
/** Beyond this share of the usual round trip, or below its reciprocal, the CPUs are elsewhere. Within one placement it varies by a fifth. */
const usualShare = 1.5;
const pauseMs = 80;

/**
 * How far apart the two CPUs are: how long a cache line takes from one to the other and back, measured by a C++ program between the rounds of held rows. Where CPUs are virtual
 * the host moves them, and then a line, and with it every message through shared memory, takes several times as long or as short, for seconds or minutes. A round during which that
 * happened says more about the host than about a transport. Usual is the median of what was seen: on one host the CPUs are mostly neighbours, on another they hardly ever are.
 */
export class CpuDistance {
  readonly #directory: string;
  /** For all waits of the run together. */
  #patienceMs = 0;
  #seenUs: number[] = [];
  #isKnown = true;

  constructor(runDirectory: string) {
    this.#directory = mkdtempSync(join(runDirectory, 'distance-'));
  }

  /** Begins a run. What was usual in those before stays known: they are to be compared. */
  async begin(patienceMs: number): Promise<void> {
    this.#patienceMs = patienceMs;
    for (let probe = 0; probe < firstProbes && this.#isKnown; probe++) {
      await this.isUsual();
      await sleep(pauseMs);
    }
  }

  /** Is it now what it mostly is? True where it can't be measured. */
  async isUsual(): Promise<boolean> {
    const us = await this.#probe();
    if (us === null) return true;
    this.#seenUs.push(us);
    const usualUs = median(this.#seenUs);
    return us <= usualUs * usualShare && us >= usualUs / usualShare;
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
