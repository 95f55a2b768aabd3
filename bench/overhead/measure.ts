import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OverheadRow, OverheadVariant } from '../result.js';
import { median } from '../rig/histogram.js';
import type { RoundPlan, RoundResult } from './app.js';

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
 * the app, when a sidecar does them over HTTP, and when it does them over pillion. Variants take turns, as in the suite.
 */
export async function measureOverhead(options: OverheadOptions): Promise<OverheadRow[]> {
  const apps = variants.map((variant) => new WorkloadApp(variant, options.directory));
  try {
    for (let round = 0; round <= options.rounds; round++) {
      for (const app of apps) {
        const isWarmUp = round === 0;
        options.progress(`${app.variant}, ${isWarmUp ? 'warming up' : `round ${round} of ${options.rounds}`}`);
        await app.round({ ratePerSec: options.ratePerSec, durationMs: isWarmUp ? warmUpMs : options.durationMs }, isWarmUp);
      }
    }
  } finally {
    await Promise.all(apps.map((app) => app.end()));
  }
  return apps.map((app) => app.row(options.ratePerSec));
}

class WorkloadApp {
  readonly variant: OverheadVariant;
  readonly #process: ChildProcess;
  readonly #ready: Promise<unknown>;
  readonly #kill = () => this.#process.kill('SIGKILL');
  readonly #results: RoundResult[] = [];
  #status = 'ok';

  constructor(variant: OverheadVariant, directory: string) {
    this.variant = variant;
    const own = mkdtempSync(join(directory, 'overhead-'));
    this.#process = fork(new URL('./app.js', import.meta.url), [variant, own], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    process.once('exit', this.#kill);
    this.#ready = this.#answer();
    this.#ready.catch(() => {});
  }

  async round(plan: RoundPlan, isWarmUp: boolean): Promise<void> {
    if (this.#status !== 'ok') return;
    try {
      await this.#ready;
      const answer = this.#answer();
      this.#process.send(plan);
      const { result } = (await answer) as { result: RoundResult };
      if (!isWarmUp) this.#results.push(result);
    } catch (error) {
      this.#status = `failed: ${(error as Error).message}`;
    }
  }

  async end(): Promise<void> {
    process.off('exit', this.#kill);
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    // The app takes its sidecar with it when it may exit by itself.
    if (this.#process.connected) this.#process.disconnect();
    const timer = setTimeout(this.#kill, 2_000);
    await exited;
    clearTimeout(timer);
  }

  row(ratePerSec: number): OverheadRow {
    const isOk = this.#status === 'ok' && this.#results.length > 0;
    const of = (value: (result: RoundResult) => number) => (isOk ? Number(median(this.#results.map(value)).toPrecision(4)) : null);
    return {
      variant: this.variant,
      status: this.#status,
      rounds: isOk ? this.#results.length : 0,
      requests: isOk ? this.#results.reduce((sum, { requests }) => sum + requests, 0) : 0,
      ratePerSec,
      appCpuMsPer1000: of(({ appCpuUs, requests }) => appCpuUs / requests),
      sidecarCpuMsPer1000: of(({ sidecarCpuUs, requests }) => sidecarCpuUs / requests),
      appRssMiB: of(({ appRssMiB }) => appRssMiB),
      sidecarRssMiB: of(({ sidecarRssMiB }) => sidecarRssMiB),
      networkBytesPerRequest: of(({ networkBytes, requests }) => networkBytes / requests),
      p50Us: of(({ p50Us }) => p50Us),
      p99Us: of(({ p99Us }) => p99Us),
    };
  }

  /** The next message; an error message, the end of the process and silence are errors. */
  async #answer(): Promise<unknown> {
    const patience = new AbortController();
    const { signal } = patience;
    try {
      const answer = await Promise.race([
        once(this.#process, 'message', { signal }).then(([message]) => message as { error?: string }),
        once(this.#process, 'exit', { signal }).then(([code, by]) => ({ error: `the app ended by itself (${by ?? `exit code ${code}`})` })),
        sleep(graceMs, { error: `no answer in ${graceMs} ms` }, { signal }),
      ]);
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    } finally {
      patience.abort();
    }
  }
}
