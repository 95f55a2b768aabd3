import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { Link } from '../transports/transport.js';
import { occupyLoop } from './busy.js';
import type { Child } from './child.js';
import { operationsIn } from './conversation.js';
import type { Crowd } from './crowd.js';
import type { Exchange, Numbering } from './exchange.js';
import { createExchanges } from './exchange.js';
import type { Latency } from './histogram.js';
import { LatencyRecorder } from './histogram.js';
import { measureIdle } from './idle.js';
import type { Lane, Outcome, Pattern, RoundPlan } from './lane.js';
import type { Loop } from './loops.js';
import { bulkLoop, burstLoop, closedLoop, eventLoop, fanOutLoop, pacedLoop, tightLoop } from './loops.js';
import { openLoop } from './open-loop.js';
import type { PeerReport } from './questions.js';
import { Unavailable } from './questions.js';
import { Uploads } from './uploads.js';
import { takeUsage } from './usage.js';

/** Above this a single operation is long enough to be timed alone. */
const batchBelowUs = 20;
const batchLength = 16;
/** Of patterns that can't have a gap, or have one by themselves. */
const ownLoops: Partial<Record<Pattern, Loop>> = {
  event: eventLoop,
  frame: eventLoop,
  stream: bulkLoop,
  upload: bulkLoop,
  read: tightLoop,
  count: tightLoop,
  'fan-out': fanOutLoop,
};
const mostRunIns = 4;
const arrivalTimeoutMs = 5_000;
const peerTimeoutMs = 20_000;

/** What is sent as fast as there is room for it. */
function isOneWay(pattern: Pattern): boolean {
  return pattern === 'event' || pattern === 'frame';
}

/** Who else is there. */
interface Company {
  peer: Child | undefined;
  crowd: Crowd | undefined;
  openAnother(): Promise<Link>;
}

/** The app's side of one lane: warms up, runs the loop, and holds what was sent against what the sidecar received. */
export class Rig {
  readonly #lane: Lane;
  readonly #links: readonly Link[];
  readonly #peer: Child | undefined;
  readonly #openAnother: () => Promise<Link>;
  readonly #numbering: Numbering = { sent: 0 };
  readonly #crowd: Crowd | undefined;
  #exchanges: Exchange[] = [];
  #uploads: Uploads | undefined;
  /** Decided once, so that the rounds of a lane stay comparable. */
  #batch: number | undefined;

  constructor(lane: Lane, links: readonly Link[], { peer, crowd, openAnother }: Company) {
    this.#lane = lane;
    this.#links = links;
    this.#peer = peer;
    this.#openAnother = openAnother;
    this.#crowd = crowd;
  }

  async round(plan: RoundPlan): Promise<Outcome> {
    if (this.#link.measure) return ownMeasurement(this.#link, plan);
    if (this.#exchanges.length === 0) this.#exchanges = createExchanges(this.#lane, this.#links, this.#numbering);
    const stop = occupyLoop(this.#lane.busyShare);
    try {
      await this.#warmUp(plan);
      return await this.#find(plan);
    } finally {
      stop();
    }
  }

  #find(plan: RoundPlan): Promise<Outcome> {
    switch (this.#lane.pattern) {
      case 'idle':
        return this.#idle(plan);
      case 'crowd':
        return this.#besideCrowd(plan);
      case 'beside-upload':
        return this.#besideUpload(plan);
      default:
        return this.#measure(plan.durationMs);
    }
  }

  get #link(): Link {
    return this.#links[0] as Link;
  }

  async #warmUp({ runInMs, runInOperations = 0, warmupMs }: RoundPlan): Promise<void> {
    const recorder = new LatencyRecorder();
    const runIn = { durationMs: runInMs, batch: operationsIn(this.#lane) ?? 1, gapUs: 0 };
    for (let time = 0, count = 0; runInMs > 0 && time < mostRunIns && (time === 0 || count < runInOperations); time++) {
      count += await this.#runInClosedLoop(runIn, recorder);
    }
    this.#batch ??= operationsIn(this.#lane) ?? this.#batchFor(recorder);
    await this.#everythingArrived();
    if (warmupMs > 0) await this.#run(warmupMs, false, recorder);
    await this.#everythingArrived();
  }

  async #measure(durationMs: number): Promise<Outcome> {
    const recorder = new LatencyRecorder();
    const sidecarBefore = await this.#report();
    const appBefore = takeUsage();
    const countersBefore = this.#link.counters?.();
    const begun = performance.now();
    const count = await this.#run(durationMs, true, recorder);
    const appAfter = takeUsage();
    const extras = growth(countersBefore, this.#link.counters?.());
    const sidecarAfter = await this.#everythingArrived();
    const elapsedMs = performance.now() - begun;
    return {
      count,
      batch: this.#lane.ratePerSec > 0 ? 1 : (this.#batch ?? 1),
      // An open loop that did not keep its rate has failed.
      opsPerSec: (count / (this.#lane.ratePerSec > 0 ? durationMs : elapsedMs)) * 1_000,
      appCpuUs: appAfter.cpuUs - appBefore.cpuUs,
      sidecarCpuUs: (sidecarAfter?.cpuUs ?? 0) - (sidecarBefore?.cpuUs ?? 0),
      switches: appAfter.switches - appBefore.switches + (sidecarAfter?.switches ?? 0) - (sidecarBefore?.switches ?? 0),
      latency: this.#latency(recorder, sidecarAfter),
      extras,
    };
  }

  /** Half of the time alone, half of it while the same connection uploads: at the same rate, or the two could not be compared. */
  async #besideUpload({ durationMs }: RoundPlan): Promise<Outcome> {
    const alone = new LatencyRecorder();
    await this.#run(durationMs / 2, true, alone);
    await this.#everythingArrived();
    this.#uploads = new Uploads(this.#lane, this.#link, this.#numbering);
    try {
      const outcome = await this.#measure(durationMs / 2);
      const { uploadMibPerSec } = this.#uploads;
      const quiet = alone.latency();
      return { ...outcome, extras: { ...outcome.extras, uploadMibPerSec, quietP50Us: quiet?.p50Us ?? 0, quietP99Us: quiet?.p99Us ?? 0 } };
    } finally {
      this.#uploads = undefined;
    }
  }

  /** Half of the time nobody does anything; then one connection works. At the end each of the idle ones shows that it is still there. */
  async #besideCrowd({ durationMs }: RoundPlan): Promise<Outcome> {
    const restMs = durationMs / 8;
    const idleMs = durationMs / 2 - restMs;
    await sleep(restMs);
    const before = await this.#report();
    await sleep(idleMs);
    const after = await this.#report();
    const outcome = await this.#measure(durationMs / 2);
    if (this.#crowd) {
      await this.#crowd.wake(this.#numbering.sent + 1);
      this.#numbering.sent += this.#lane.idleClients;
      await this.#everythingArrived();
    }
    const idleSidecarCpuMs = ((after?.cpuUs ?? 0) - (before?.cpuUs ?? 0)) / 1_000;
    return { ...outcome, extras: { ...outcome.extras, idleMs, idleSidecarCpuMs } };
  }

  /** That of an event ends where it arrives. */
  #latency(recorder: LatencyRecorder, sidecar: PeerReport | undefined): Latency | undefined {
    const isEventLatency = this.#lane.pattern === 'event' && this.#lane.ratePerSec > 0;
    return isEventLatency ? sidecar?.latency : recorder.latency();
  }

  async #idle({ durationMs }: RoundPlan): Promise<Outcome> {
    const peer = this.#peer;
    if (!peer) throw new Unavailable(`${this.#lane.transport} has no second process`);
    const extras = await measureIdle({
      durationMs,
      openAnother: this.#openAnother,
      peerUsage: () => this.#askForReport(peer),
      peerHeapBytes: () => peer.ask('heap', null, peerTimeoutMs),
    });
    const { appCpuMs = 0, sidecarCpuMs = 0 } = extras;
    const cpu = { appCpuUs: appCpuMs * 1_000, sidecarCpuUs: sidecarCpuMs * 1_000 };
    return { count: 0, batch: 1, opsPerSec: 0, ...cpu, switches: 0, latency: undefined, extras };
  }

  #run(durationMs: number, isMeasured: boolean, recorder: LatencyRecorder): Promise<number> {
    const { ratePerSec, gapUs } = this.#lane;
    const openly = () => openLoop(this.#exchanges, { ratePerSec, durationMs, isMeasured }, recorder);
    if (ratePerSec > 0) return this.#uploads ? this.#uploads.during(openly) : openly();
    return this.#runInClosedLoop({ durationMs, batch: this.#batch ?? 1, gapUs }, recorder);
  }

  async #runInClosedLoop(timing: { durationMs: number; batch: number; gapUs: number }, recorder: LatencyRecorder): Promise<number> {
    const loop = this.#chooseLoop(timing.gapUs);
    const counts = this.#exchanges.map((exchange, index) => {
      const { room, flush } = this.#links[index] as Link;
      const drain = (isOneWay(this.#lane.pattern) ? room : flush) ?? turn;
      return loop(exchange, { ...timing, drain: async () => void (await drain()) }, recorder);
    });
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  #chooseLoop(gapUs: number): Loop {
    const { pattern } = this.#lane;
    const own = ownLoops[pattern];
    if (own) return own;
    if (gapUs > 0) return pacedLoop;
    return pattern === 'send' ? burstLoop : closedLoop;
  }

  /** By what it takes when nothing disturbs it: a start on a crowded machine must not make a fast transport a slow one. */
  #batchFor(runIn: LatencyRecorder): number {
    const undisturbedUs = runIn.percentileUs(10) ?? 0;
    return this.#lane.gapUs === 0 && undisturbedUs < batchBelowUs ? batchLength : 1;
  }

  /** The other side may still be reading when the last operation was accepted. Fewer or more than sent: lost or doubled. */
  async #everythingArrived(): Promise<PeerReport | undefined> {
    await Promise.all(this.#links.map((link) => link.flush?.()));
    const { sent } = this.#numbering;
    const deadline = performance.now() + arrivalTimeoutMs;
    let report = await this.#report();
    if (!report) return undefined;
    while (report.received < sent && report.fault === undefined && performance.now() < deadline) {
      await sleep(1);
      report = (await this.#report()) as PeerReport;
    }
    const { received, sequenceSum, fault } = report;
    if (fault !== undefined) throw new Error(`the sidecar complains: ${fault}`);
    if (received !== sent) throw new Error(`sent ${sent}, but received ${received}`);
    if (sequenceSum !== (sent * (sent + 1)) / 2) throw new Error(`as many messages were lost as were doubled, of ${sent}`);
    return report;
  }

  async #report(): Promise<PeerReport | undefined> {
    if (this.#link.report) return this.#link.report();
    return this.#peer && this.#askForReport(this.#peer);
  }

  #askForReport(peer: Child): Promise<PeerReport> {
    return peer.ask('report', null, peerTimeoutMs);
  }
}

async function ownMeasurement(link: Link, plan: RoundPlan): Promise<Outcome> {
  const measured = await link.measure?.(plan.durationMs, plan.warmupMs);
  if (!measured) throw new Error('no measurement');
  const { count, batch, elapsedMs, cpuUs, latency, extras = {} } = measured;
  return { count, batch, opsPerSec: (count / elapsedMs) * 1_000, appCpuUs: cpuUs, sidecarCpuUs: 0, switches: 0, latency, extras };
}

function growth(before: Record<string, number> = {}, after: Record<string, number> = {}): Record<string, number> {
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)]));
}
