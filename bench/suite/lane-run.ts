import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Row } from '../result.js';
import type { ChildOptions } from '../rig/child.js';
import { Child, Overdue } from '../rig/child.js';
import { usableCpus } from '../rig/cpus.js';
import type { Outcome, RoundPlan } from '../rig/lane.js';
import { Unavailable } from '../rig/questions.js';
import { makeRow } from './row.js';
import type { Scenario } from './scenarios.js';
import { countSyscalls } from './syscalls.js';

const openTimeoutMs = 20_000;
/** For what belongs to a round beside its planned time: draining, reports, compilation of C++. */
const roundGraceMs = 6_000;
/** For exact heap sizes; and V8 collects garbage some seconds after a process became quiet, which is not our idling. */
const idleFlags = ['--expose-gc', '--no-memory-reducer'];

/** What the run may last beyond its deadline, so that a round which began in time can end. */
const overtimeMs = 2_000;

const timeIsUp = 'skipped: the time was up';

/**
 * One scenario on one transport in a pair of processes of its own, so that a crash costs one row and not the run. It may be opened again after its end: the
 * rounds of all its processes make one row.
 */
export class LaneRun {
  readonly transport: string;
  readonly #scenario: Scenario;
  readonly #runDirectory: string;
  /** Of the whole run, on the clock of `performance.now()`. */
  readonly #deadline: number;
  readonly #outcomes: Outcome[] = [];
  #app: Child | undefined;
  #sidecarPid: number | null = null;
  #syscallsPerOp: number | null = null;
  #status = 'ok';

  constructor(scenario: Scenario, transport: string, runDirectory: string, deadline: number) {
    this.transport = transport;
    this.#scenario = scenario;
    this.#deadline = deadline;
    this.#runDirectory = runDirectory;
  }

  /** That were measured so far. */
  get rounds(): number {
    return this.#outcomes.length;
  }

  get row(): Row {
    return makeRow(this.#scenario, this.transport, {
      outcomes: this.#outcomes,
      status: this.#status,
      syscallsPerOp: this.#syscallsPerOp,
    });
  }

  async open(): Promise<void> {
    const hasTime = this.#remainingMs > 0;
    if (!hasTime && this.#outcomes.length === 0) this.#status = timeIsUp;
    if (!hasTime || this.#status !== 'ok') return;
    await this.#attempt(async () => {
      const app = new Child('app', new URL('../rig/app.js', import.meta.url), this.#appOptions());
      this.#app = app;
      const { name, transports, ...conditions } = this.#scenario;
      const lane = { ...conditions, transport: this.transport, directory: mkdtempSync(join(this.#runDirectory, 'lane-')) };
      this.#sidecarPid = await app.ask('open', lane, Math.min(openTimeoutMs, this.#remainingMs + overtimeMs));
    });
  }

  async measure(plan: RoundPlan): Promise<void> {
    if (this.#status !== 'ok') return;
    const hasTime = totalMs(plan) < this.#remainingMs;
    // What has been measured in fewer rounds still counts.
    if (!hasTime && this.#outcomes.length === 0) this.#status = timeIsUp;
    if (!hasTime) return;
    await this.#attempt(async () => {
      this.#outcomes.push(await this.#round(plan));
    });
  }

  /** In place of the last round, which was disturbed by something that has nothing to do with the transport. */
  async repeat(plan: RoundPlan): Promise<void> {
    const before = this.#outcomes.length;
    await this.measure(plan);
    // Without time for another one, a disturbed round is better than none.
    if (this.#outcomes.length > before) this.#outcomes.splice(before - 1, 1);
  }

  /** In a round of its own, because being watched costs time. */
  async countSyscalls(plan: RoundPlan): Promise<void> {
    const pids = [this.#app?.pid, this.#sidecarPid].filter((pid) => typeof pid === 'number');
    const isWhole = pids.length === 2 || this.transport === 'function';
    if (this.#status !== 'ok' || !isWhole || totalMs(plan) >= this.#remainingMs) return;
    try {
      // What asking for a round costs by itself belongs to no message.
      const silence = await countSyscalls(pids, () => this.#round({ runInMs: 0, warmupMs: 0, durationMs: 0 }));
      const traffic = await countSyscalls(pids, () => this.#round({ ...plan, runInMs: 0, warmupMs: 0 }));
      if (!silence || !traffic || traffic.result.count === 0) return;
      this.#syscallsPerOp = Math.max(0, traffic.calls - silence.calls) / traffic.result.count;
    } catch {
      // What was measured before it was watched stays true; only this column remains empty.
    }
  }

  async end(): Promise<void> {
    await this.#app?.end();
    this.#app = undefined;
    killLeftover(this.#sidecarPid);
    this.#sidecarPid = null;
  }

  get #remainingMs(): number {
    return Math.max(0, Math.round(this.#deadline - performance.now()));
  }

  async #round(plan: RoundPlan): Promise<Outcome> {
    if (!this.#app) throw new Error('nothing is open');
    return this.#app.ask('round', plan, Math.min(totalMs(plan) + roundGraceMs, this.#remainingMs + overtimeMs));
  }

  #appOptions(): ChildOptions {
    const { pattern, placement } = this.#scenario;
    const execArgv = pattern === 'idle' ? [...process.execArgv, ...idleFlags] : process.execArgv;
    if (placement === 'free') return { execArgv };
    const [first, second] = usableCpus();
    if (placement !== 'together' && second === undefined) throw new Unavailable('only one CPU may be used');
    return placement === 'held' ? { execArgv } : { execArgv, cpu: first as number };
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { message } = error as Error;
      // It was the run that ended, before the process had the time that it may take.
      if (error instanceof Overdue && this.#remainingMs === 0) this.#status = timeIsUp;
      else this.#status = error instanceof Unavailable ? `skipped: ${message}` : `failed: ${message}`;
    }
  }
}

/** By plan: what is slow may take longer to run in. */
export function totalMs({ runInMs, warmupMs, durationMs }: RoundPlan): number {
  return runInMs + warmupMs + durationMs;
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
