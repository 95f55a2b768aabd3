import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { Child } from './child.js';
import type { Exchange } from './exchange.js';
import { createExchange } from './exchange.js';
import type { Latency } from './histogram.js';
import { LatencyRecorder } from './histogram.js';
import { measureIdle } from './idle.js';
import type { Loop, Timing } from './loops.js';
import { burstLoop, closedLoop, pacedLoop, streamLoop } from './loops.js';
import type { Lane, Pattern, PeerReport, RoundPlan } from './questions.js';
import { Unavailable } from './questions.js';
import type { Link } from './transports/transport.js';
import type { Usage } from './usage.js';
import { takeUsage } from './usage.js';

/** What one round found. */
export interface Outcome {
  count: number;
  /** Operations per latency sample. */
  batch: number;
  opsPerSec: number;
  /** Of both processes together. */
  cpuUs: number;
  latency: Latency | undefined;
  /** What only some scenarios or transports know, such as doorbells. */
  extras: Record<string, number>;
}

/** Above this a single operation is long enough to be timed alone. */
const batchBelowUs = 20;
const batchLength = 16;
const arrivalTimeoutMs = 5_000;
const peerTimeoutMs = 20_000;

/** The app's side of one lane: warms up, runs the loop, and holds what was sent against what the sidecar received. */
export class Rig {
  readonly #lane: Lane;
  readonly #link: Link;
  readonly #peer: Child | undefined;
  readonly #openAnother: () => Promise<Link>;
  #exchange: Exchange | undefined;
  /** Decided once, so that the rounds of a lane stay comparable. */
  #batch: number | undefined;

  constructor(lane: Lane, link: Link, peer: Child | undefined, openAnother: () => Promise<Link>) {
    this.#lane = lane;
    this.#link = link;
    this.#peer = peer;
    this.#openAnother = openAnother;
  }

  async round(plan: RoundPlan): Promise<Outcome> {
    if (this.#link.measure) return ownMeasurement(this.#link, plan);
    this.#exchange ??= createExchange(this.#lane, this.#link);
    await this.#warmUp(plan);
    return this.#lane.pattern === 'idle' ? this.#idle(plan) : this.#measure(plan.durationMs);
  }

  async #warmUp({ runInMs, warmupMs }: RoundPlan): Promise<void> {
    const recorder = new LatencyRecorder();
    await this.#run({ durationMs: runInMs, batch: 1, gapMs: 0 }, recorder);
    this.#batch ??= this.#batchFor(recorder);
    await this.#everythingArrived();
    await this.#run({ durationMs: warmupMs, batch: this.#batch, gapMs: this.#lane.gapUs / 1_000 }, recorder);
    await this.#everythingArrived();
  }

  async #measure(durationMs: number): Promise<Outcome> {
    const batch = this.#batch ?? 1;
    const recorder = new LatencyRecorder();
    const usageBefore = await this.#usage();
    const countersBefore = this.#link.counters?.();
    const begun = performance.now();
    const count = await this.#run({ durationMs, batch, gapMs: this.#lane.gapUs / 1_000 }, recorder);
    const extras = growth(countersBefore, this.#link.counters?.());
    await this.#everythingArrived();
    const elapsedMs = performance.now() - begun;
    const cpuUs = (await this.#usage()).cpuUs - usageBefore.cpuUs;
    return { count, batch, opsPerSec: (count / elapsedMs) * 1_000, cpuUs, latency: recorder.latency(), extras };
  }

  async #idle({ durationMs }: RoundPlan): Promise<Outcome> {
    const peer = this.#peer;
    if (!peer) throw new Unavailable(`${this.#lane.transport} has no second process`);
    const extras = await measureIdle({
      durationMs,
      openAnother: this.#openAnother,
      peerUsage: () => this.#report(peer),
      peerHeapBytes: () => peer.ask('heap', null, peerTimeoutMs),
    });
    return { count: 0, batch: 1, opsPerSec: 0, cpuUs: (extras['cpuMs'] ?? 0) * 1_000, latency: undefined, extras };
  }

  #run(timing: Omit<Timing, 'drain'>, recorder: LatencyRecorder): Promise<number> {
    const { room, flush } = this.#link;
    const drain = (this.#lane.pattern === 'stream' ? room : flush) ?? turn;
    const loop = chooseLoop(this.#lane.pattern, timing.gapMs);
    return loop(this.#exchange as Exchange, { ...timing, drain: async () => void (await drain()) }, recorder);
  }

  /** By what it takes when nothing disturbs it: a start on a crowded machine must not make a fast transport a slow one. */
  #batchFor(runIn: LatencyRecorder): number {
    const undisturbedUs = runIn.percentileUs(10) ?? 0;
    return this.#lane.gapUs === 0 && undisturbedUs < batchBelowUs ? batchLength : 1;
  }

  /** The other side may still be reading when the last operation was accepted. Fewer or more than sent: lost or doubled. */
  async #everythingArrived(): Promise<void> {
    await this.#link.flush?.();
    if (!this.#peer) return;
    const sent = this.#exchange?.sent ?? 0;
    const deadline = performance.now() + arrivalTimeoutMs;
    let { received, fault } = await this.#report(this.#peer);
    while (received < sent && fault === undefined && performance.now() < deadline) {
      await sleep(1);
      ({ received, fault } = await this.#report(this.#peer));
    }
    if (fault !== undefined) throw new Error(`the sidecar complains: ${fault}`);
    if (received !== sent) throw new Error(`sent ${sent}, but received ${received}`);
  }

  async #usage(): Promise<Usage> {
    const peer = this.#peer && (await this.#report(this.#peer));
    const own = takeUsage();
    return { cpuUs: own.cpuUs + (peer?.cpuUs ?? 0), sleeps: own.sleeps + (peer?.sleeps ?? 0) };
  }

  #report(peer: Child): Promise<PeerReport> {
    return peer.ask('report', null, peerTimeoutMs);
  }
}

function chooseLoop(pattern: Pattern, gapMs: number): Loop {
  if (pattern === 'stream') return streamLoop;
  if (gapMs > 0) return pacedLoop;
  return pattern === 'send' ? burstLoop : closedLoop;
}

async function ownMeasurement(link: Link, plan: RoundPlan): Promise<Outcome> {
  const measured = await link.measure?.(plan.durationMs, plan.warmupMs);
  if (!measured) throw new Error('no measurement');
  const { count, batch, elapsedMs, cpuUs, latency } = measured;
  return { count, batch, opsPerSec: (count / elapsedMs) * 1_000, cpuUs, latency, extras: {} };
}

function growth(before: Record<string, number> = {}, after: Record<string, number> = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)]));
}
