import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.js';
import type { RoundPlan } from './questions.js';
import { Unavailable } from './questions.js';
import type { Outcome } from './rig.js';
import type { Row } from './row.js';
import { makeRow } from './row.js';
import type { Scenario } from './scenarios.js';

const openTimeoutMs = 20_000;
/** For what belongs to a round beside its planned time: draining, reports, compilation of C++. */
const roundGraceMs = 6_000;
/** For exact heap sizes; and V8 collects garbage some seconds after a process became quiet, which is not our idling. */
const idleFlags = ['--expose-gc', '--no-memory-reducer'];

/** What the run may last beyond its deadline, so that a round which began in time can end. */
const overtimeMs = 2_000;

const timeIsUp = 'skipped: the time was up';

/** One scenario on one transport in a pair of processes of its own, so that a crash costs one row and not the run. */
export class LaneRun {
  readonly transport: string;
  readonly #scenario: Scenario;
  readonly #directory: string;
  /** Of the whole run, on the clock of `performance.now()`. */
  readonly #deadline: number;
  readonly #outcomes: Outcome[] = [];
  #app: Child | undefined;
  #sidecarPid: number | null = null;
  #status = 'ok';

  constructor(scenario: Scenario, transport: string, runDirectory: string, deadline: number) {
    this.transport = transport;
    this.#scenario = scenario;
    this.#deadline = deadline;
    this.#directory = mkdtempSync(join(runDirectory, 'lane-'));
  }

  get row(): Row {
    return makeRow(this.#scenario, this.transport, this.#outcomes, this.#status);
  }

  async open(): Promise<void> {
    if (this.#remainingMs === 0) this.#status = timeIsUp;
    if (this.#status !== 'ok') return;
    const { pattern, payloadBytes, gapUs } = this.#scenario;
    const flags = pattern === 'idle' ? [...process.execArgv, ...idleFlags] : process.execArgv;
    const app = new Child('app', new URL('./app.js', import.meta.url), flags);
    this.#app = app;
    await this.#attempt(async () => {
      const lane = { pattern, transport: this.transport, payloadBytes, gapUs, directory: this.#directory };
      this.#sidecarPid = await app.ask('open', lane, Math.min(openTimeoutMs, this.#remainingMs + overtimeMs));
    });
  }

  async measure(plan: RoundPlan): Promise<void> {
    if (this.#status !== 'ok') return;
    const plannedMs = plan.runInMs + plan.warmupMs + plan.durationMs;
    const hasTime = plannedMs < this.#remainingMs;
    // What has been measured in fewer rounds still counts.
    if (!hasTime && this.#outcomes.length === 0) this.#status = timeIsUp;
    if (!hasTime) return;
    const timeoutMs = Math.min(plannedMs + roundGraceMs, this.#remainingMs + overtimeMs);
    await this.#attempt(async () => {
      const outcome = await this.#app?.ask('round', plan, timeoutMs);
      if (outcome) this.#outcomes.push(outcome);
    });
  }

  async end(): Promise<void> {
    await this.#app?.end();
    killLeftover(this.#sidecarPid);
  }

  get #remainingMs(): number {
    return Math.max(0, Math.round(this.#deadline - performance.now()));
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { message } = error as Error;
      this.#status = error instanceof Unavailable ? `skipped: ${message}` : `failed: ${message}`;
    }
  }
}

/** A sidecar ends with its app unless it hangs; its number is only trusted while it still belongs to a sidecar. */
function killLeftover(pid: number | null): void {
  if (pid === null) return;
  try {
    if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('echo-peer.js')) process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone.
  }
}
