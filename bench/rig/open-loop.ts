import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { monotonicUs } from './clock.js';
import type { Exchange } from './exchange.js';
import type { LatencyRecorder } from './histogram.js';
import { tickBytes } from './pacer.js';

/** More than this many unanswered operations: the rate is beyond what the transport can do. */
const mostOutstanding = 20_000;
/** Of the planned time; what a run may last longer, so that the last answers can arrive, before its rate counts as missed. */
const tolerance = 0.05;
const leastToleranceMs = 100;

/** Beyond the planned time, in a warm-up too: what is so late will not catch up, and nobody has to wait for its end. */
const longestDelayMs = 2_000;
/** Where nothing was answered for so long, and this process was free to hear it, it is not the rate that is wrong. */
const longestSilenceMs = 1_000;

const pacers = new Set<ChildProcess>();
process.on('exit', () => {
  for (const pacer of pacers) pacer.kill('SIGKILL');
});

interface Plan {
  ratePerSec: number;
  durationMs: number;
  /** False while warming up: events then carry no planned time. */
  isMeasured: boolean;
}

/**
 * Starts operations when they are due, whether the earlier ones are answered or not, and counts latency from then. So a stall
 * delays, and is counted in, every operation that was due meanwhile, where a closed loop would have sent none (coordinated omission). As in
 * Aeron's load test rig, a run that misses its rate is no result.
 */
export async function openLoop(exchanges: readonly Exchange[], plan: Plan, recorder: LatencyRecorder): Promise<number> {
  if (plan.durationMs === 0) return 0;
  const pacer = startPacer(plan);
  const run = new OpenRun(exchanges, plan, recorder);
  const begun = performance.now();
  try {
    for await (const chunk of pacer.stdout as NodeJS.ReadableStream) run.take(chunk as unknown as Buffer);
    await run.allAnswered();
  } finally {
    pacer.kill('SIGKILL');
  }
  const elapsedMs = performance.now() - begun - startUpMs(run, begun);
  const allowedMs = plan.durationMs + Math.max(plan.durationMs * tolerance, leastToleranceMs);
  // A warm-up is there for code that is not compiled yet.
  if (plan.isMeasured && elapsedMs > allowedMs) {
    throw new Error(
      `rate missed: ${run.count} operations at ratePerSec=${plan.ratePerSec} took ${Math.round(elapsedMs)} ms instead of ${plan.durationMs}`,
    );
  }
  return run.count;
}

function startPacer({ ratePerSec, durationMs }: Plan): ChildProcess {
  const script = fileURLToPath(new URL('./pacer.js', import.meta.url));
  const pacer = spawn(process.execPath, [script, String(ratePerSec), String(durationMs)], { stdio: ['ignore', 'pipe', 'ignore'] });
  pacers.add(pacer);
  void once(pacer, 'exit').then(() => pacers.delete(pacer));
  return pacer;
}

/** Until the pacer's first tick. */
function startUpMs(run: OpenRun, begun: number): number {
  return (run.firstTickMs ?? begun) - begun;
}

class OpenRun {
  readonly #exchanges: readonly Exchange[];
  readonly #recorder: LatencyRecorder;
  readonly #isMeasured: boolean;
  readonly #ratePerSec: number;
  readonly #durationMs: number;
  #rest: Buffer = Buffer.alloc(0);
  #outstanding = 0;
  #failure: unknown;
  #notify = () => {};
  /** When something was answered, or this process was busy with beginning operations. */
  #lastStirMs = performance.now();
  count = 0;
  firstTickMs: number | undefined;

  constructor(exchanges: readonly Exchange[], { isMeasured, ratePerSec, durationMs }: Plan, recorder: LatencyRecorder) {
    this.#exchanges = exchanges;
    this.#recorder = recorder;
    this.#isMeasured = isMeasured;
    this.#ratePerSec = ratePerSec;
    this.#durationMs = durationMs;
  }

  take(chunk: Buffer): void {
    this.firstTickMs ??= performance.now();
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    let offset = 0;
    for (; offset + tickBytes <= bytes.length; offset += tickBytes) {
      const plannedUs = bytes.readDoubleLE(offset);
      for (let due = bytes.readDoubleLE(offset + 8); due > 0; due--) this.#issue(plannedUs);
    }
    this.#rest = bytes.subarray(offset);
    this.#lastStirMs = performance.now();
    this.#giveUpWhenLate();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async allAnswered(): Promise<void> {
    const timer = setInterval(() => this.#giveUpWhenLate(), 100);
    try {
      while (this.#outstanding > 0 && this.#failure === undefined) {
        await new Promise<void>((resolve) => {
          this.#notify = resolve;
        });
      }
    } finally {
      clearInterval(timer);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #giveUpWhenLate(): void {
    const now = performance.now();
    if (now - (this.firstTickMs ?? now) <= this.#durationMs + longestDelayMs) return;
    const isSilent = this.#outstanding > 0 && now - this.#lastStirMs > longestSilenceMs;
    const what = isSilent
      ? `no answer to ${this.#outstanding} operations`
      : `rate missed: ${this.count - this.#outstanding} operations were answered`;
    this.#failure ??= new Error(`${what} at ratePerSec=${this.#ratePerSec}, ${longestDelayMs} ms after the planned end`);
    this.#notify();
  }

  #issue(plannedUs: number): void {
    const exchange = this.#exchanges[this.count++ % this.#exchanges.length] as Exchange;
    const reply = exchange.issue(this.#isMeasured ? plannedUs : 0);
    if (reply === false) throw new Error(`rate missed: no room for operation ${this.count} at ratePerSec=${this.#ratePerSec}`);
    if (!(reply instanceof Promise)) {
      this.#recorder.record(monotonicUs() - plannedUs);
      return;
    }
    if (++this.#outstanding > mostOutstanding) {
      throw new Error(`rate missed: ${mostOutstanding} operations without an answer at ratePerSec=${this.#ratePerSec}`);
    }
    reply.then(
      () => {
        this.#recorder.record(monotonicUs() - plannedUs);
        this.#settled();
      },
      (error) => {
        this.#failure ??= error;
        this.#settled();
      },
    );
  }

  #settled(): void {
    this.#outstanding--;
    this.#lastStirMs = performance.now();
    this.#notify();
  }
}
