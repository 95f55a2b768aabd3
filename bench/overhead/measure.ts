import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { OverheadRow, OverheadVariant } from '../result.js';
import { median } from '../rig/histogram.js';
import type { AppTalk, RoundPlan, RoundResult } from './app.js';
import { Partner } from './partner.js';

export interface OverheadOptions extends RoundPlan {
  directory: string;
  rounds: number;
  progress(text: string): void;
}

const variants: readonly OverheadVariant[] = ['embedded', 'http', 'pillion'];
const warmUpMs = 500;
/** For starting, draining and reporting. */
const graceMs = 15_000;

/**
 * The second figure of the sidecar pattern: what one workload costs in CPU, memory and bytes when authentication, log and metrics are functions of
 * the app, when a sidecar does them over HTTP, and when it does them over pillion. Variants take turns, as in the suite. One that fails
 * is out, and the others go on. The app's CPU time contains the reading of the pacer's ticks, which is the same in all.
 */
export async function measureOverhead(options: OverheadOptions): Promise<OverheadRow[]> {
  const { rounds, ratePerSec, durationMs, progress } = options;
  const apps = variants.map((variant) => new WorkloadApp(variant, options.directory));
  try {
    await Promise.all(apps.map((app) => app.open()));
    for (const app of apps) {
      progress(`${app.variant}, warming up`);
      await app.warmUp({ ratePerSec, durationMs: warmUpMs });
    }
    for (let round = 0; round < rounds; round++) {
      for (const app of rotated(apps, round)) {
        progress(`${app.variant}, round ${round + 1} of ${rounds}`);
        await app.measure({ ratePerSec, durationMs });
      }
    }
  } finally {
    await Promise.all(apps.map((app) => app.end()));
  }
  return apps.map((app) => app.row(ratePerSec));
}

/** Nobody always comes after the same other one. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const first = by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

class WorkloadApp {
  readonly variant: OverheadVariant;
  readonly #process: Partner<AppTalk>;
  readonly #results: RoundResult[] = [];
  #status = 'ok';

  constructor(variant: OverheadVariant, directory: string) {
    this.variant = variant;
    const own = mkdtempSync(join(directory, 'overhead-'));
    this.#process = new Partner('app', new URL('./app.js', import.meta.url), [variant, own]);
  }

  open(): Promise<void> {
    return this.#attempt(() => this.#process.ask('open', null, graceMs));
  }

  warmUp(plan: RoundPlan): Promise<void> {
    return this.#attempt(() => this.#round(plan));
  }

  measure(plan: RoundPlan): Promise<void> {
    return this.#attempt(async () => {
      this.#results.push(await this.#round(plan));
    });
  }

  end(): Promise<void> {
    return this.#process.end();
  }

  /** Only whole measurements count, as in the suite. */
  row(ratePerSec: number): OverheadRow {
    const results = this.#status === 'ok' ? this.#results : [];
    const of = (value: (result: RoundResult) => number) => (results.length > 0 ? Number(median(results.map(value)).toPrecision(4)) : null);
    return {
      variant: this.variant,
      status: this.#status,
      rounds: results.length,
      requests: results.reduce((sum, { requests }) => sum + requests, 0),
      ratePerSec,
      // Microseconds for one are milliseconds for 1,000.
      appCpuMsPer1000: of(({ appCpuUs, requests }) => appCpuUs / requests),
      sidecarCpuMsPer1000: of(({ sidecarCpuUs, requests }) => sidecarCpuUs / requests),
      appRssMiB: of(({ appRssMiB }) => appRssMiB),
      sidecarRssMiB: of(({ sidecarRssMiB }) => sidecarRssMiB),
      networkBytesPerRequest: of(({ socketBytes, requests }) => socketBytes / requests),
      p50Us: of(({ p50Us }) => p50Us),
      p99Us: of(({ p99Us }) => p99Us),
    };
  }

  #round(plan: RoundPlan): Promise<RoundResult> {
    return this.#process.ask('round', plan, plan.durationMs + graceMs);
  }

  async #attempt(work: () => Promise<unknown>): Promise<void> {
    if (this.#status !== 'ok') return;
    try {
      await work();
    } catch (error) {
      this.#status = `failed: ${(error as Error).message}`;
    }
  }
}
