/** The app of the workload: takes requests from a pacer and does, or has done, what each of them needs. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { OverheadVariant } from '../result.js';
import { monotonicUs } from '../rig/clock.js';
import type { Exchange } from '../rig/exchange.js';
import { LatencyRecorder } from '../rig/histogram.js';
import { openLoop } from '../rig/open-loop.js';
import { takeUsage } from '../rig/usage.js';
import type { Access } from './access.js';
import { answerParent } from './answers.js';
import { tokenOf } from './duties.js';
import { openHousehold } from './household.js';
import { residentMiB } from './resident.js';
import type { Spent } from './sidecar.js';

export interface RoundPlan {
  ratePerSec: number;
  durationMs: number;
}

export interface RoundResult {
  requests: number;
  appCpuUs: number;
  sidecarCpuUs: number;
  appRssMiB: number;
  sidecarRssMiB: number;
  socketBytes: number;
  p50Us: number;
  p99Us: number;
}

export type AppTalk = {
  open: [null, null];
  round: [RoundPlan, RoundResult];
};

/** A token, a log line and a sample. */
const dutiesPerRequest = 3;
const arrivalTimeoutMs = 5_000;

const [, , variant, directory] = process.argv as unknown as [string, string, OverheadVariant, string];
const opened = openHousehold(variant, directory);
let issued = 0;

answerParent<AppTalk>({
  async open() {
    await opened;
    return null;
  },
  async round(plan) {
    try {
      return await round(plan);
    } catch (error) {
      const cause = await (await opened).causeOfDeath();
      throw cause === undefined ? error : new Error(cause);
    }
  },
});

async function round(plan: RoundPlan): Promise<RoundResult> {
  const { access, spent } = await opened;
  const recorder = new LatencyRecorder();
  const before = await spent();
  const sentBefore = access.sentBytes();
  const cpuBefore = takeUsage().cpuUs;
  const requests = await openLoop([requestsOver(access)], { ...plan, isMeasured: true }, recorder);
  await access.flush();
  const appCpuUs = takeUsage().cpuUs - cpuBefore;
  const after = await everythingTaken();
  const appRssMiB = residentMiB();
  await compareWithIssued();
  const latency = recorder.latency();
  if (!latency) throw new Error(`no request in durationMs=${plan.durationMs} at ratePerSec=${plan.ratePerSec}`);
  return {
    requests,
    appCpuUs,
    sidecarCpuUs: after.cpuUs - before.cpuUs,
    appRssMiB,
    sidecarRssMiB: after.residentMiB,
    socketBytes: after.socketBytes - before.socketBytes + access.sentBytes() - sentBefore,
    p50Us: latency.p50Us,
    p99Us: latency.p99Us,
  };
}

/** The open loop's idea of an operation, applied to a request. */
function requestsOver(access: Access): Exchange {
  return { isSync: false, issue: () => handle(access), check() {} };
}

async function handle(access: Access): Promise<void> {
  const role = await access.verify(tokenOf(issued++));
  if (role !== 'buyer' && role !== 'admin') throw new Error(`role=${role} is none of those given`);
  access.log({ level: 30, time: monotonicUs(), msg: 'order accepted', route: '/api/orders', ms: 1.25 });
  access.measure({ route: '/api/orders', ms: 1.25 });
}

/** What the duties cost is complete when all of them are taken and the log is written. */
async function everythingTaken(): Promise<Spent> {
  const { spent } = await opened;
  const deadline = performance.now() + arrivalTimeoutMs;
  let now = await spent();
  while ((now.taken < issued * dutiesPerRequest || !now.isWritten) && performance.now() < deadline) {
    await sleep(5);
    now = await spent();
  }
  return now;
}

/** Less done than issued: something was lost. More: something was done twice. */
async function compareWithIssued(): Promise<void> {
  const done = await (await opened).done();
  if (Object.values(done).some((number) => number !== issued)) throw new Error(`of ${issued} requests were done ${JSON.stringify(done)}`);
}
