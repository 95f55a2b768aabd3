/** The app of the workload: takes requests from a pacer and does, or has done, what each of them needs. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OverheadVariant } from '../result.js';
import { monotonicUs } from '../rig/clock.js';
import type { Exchange } from '../rig/exchange.js';
import { LatencyRecorder } from '../rig/histogram.js';
import { openLoop } from '../rig/open-loop.js';
import { takeUsage } from '../rig/usage.js';
import type { Done } from './duties.js';
import { Duties, tokenOf } from './duties.js';
import { residentMiB } from './resident.js';
import type { SidecarReport } from './sidecar.js';
import type { Access } from './variants.js';
import { openDuties } from './variants.js';

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
  networkBytes: number;
  p50Us: number;
  p99Us: number;
}

interface Household {
  access: Access;
  report(): Promise<SidecarReport>;
}

const arrivalTimeoutMs = 5_000;
const [, , variant, directory] = process.argv as unknown as [string, string, OverheadVariant, string];
const household = await (variant === 'embedded' ? embed() : openSidecar(variant));
let issued = 0;

process.on('message', async (plan: RoundPlan) => {
  try {
    process.send?.({ result: await round(plan) });
  } catch (error) {
    process.send?.({ error: (error as Error).message });
  }
});
process.once('disconnect', () => process.exit());
process.send?.('ready');

async function round({ ratePerSec, durationMs }: RoundPlan): Promise<RoundResult> {
  const recorder = new LatencyRecorder();
  const before = await household.report();
  const sentBefore = household.access.sentBytes();
  const cpuBefore = takeUsage().cpuUs;
  const requests = await openLoop([handleRequests()], { ratePerSec, durationMs, isMeasured: true }, recorder);
  await household.access.flush();
  const appCpuUs = takeUsage().cpuUs - cpuBefore;
  const after = await everythingDone();
  const { p50Us, p99Us } = recorder.latency() ?? { p50Us: 0, p99Us: 0 };
  return {
    requests,
    appCpuUs,
    sidecarCpuUs: after.cpuUs - before.cpuUs,
    appRssMiB: residentMiB(),
    sidecarRssMiB: after.residentMiB,
    networkBytes: after.bytes - before.bytes + household.access.sentBytes() - sentBefore,
    p50Us,
    p99Us,
  };
}

/** The open loop's idea of an operation, applied to a request. */
function handleRequests(): Exchange {
  return { isSync: false, issue: handle, check() {} };
}

async function handle(): Promise<void> {
  const request = issued++;
  const { access } = household;
  const role = await access.verify(tokenOf(request));
  if (role !== 'buyer' && role !== 'admin') throw new Error(`role=${role} is none that the sidecar knows`);
  access.log({ level: 30, time: monotonicUs(), msg: 'order accepted', route: '/api/orders', ms: 1.25 });
  access.measure({ route: '/api/orders', ms: 1.25 });
}

/** Less done than issued: something was lost. */
async function everythingDone(): Promise<SidecarReport> {
  const deadline = performance.now() + arrivalTimeoutMs;
  const isWhole = ({ verified, lines, counted, observed }: Done) =>
    [verified, lines, counted, observed].every((number) => number === issued);
  let report = await household.report();
  while (!isWhole(report.done) && performance.now() < deadline) {
    await sleep(5);
    report = await household.report();
  }
  if (!isWhole(report.done)) throw new Error(`of ${issued} requests the sidecar did ${JSON.stringify(report.done)}`);
  return report;
}

async function embed(): Promise<Household> {
  const duties = new Duties(join(directory, 'app.log'));
  const access: Access = {
    verify: (token) => duties.verify(token),
    log: (entry) => duties.log(entry),
    measure: (sample) => duties.measure(sample),
    async flush() {},
    sentBytes: () => 0,
    close: () => duties.close(),
  };
  return { access, report: async () => ({ done: await duties.done(), bytes: 0, cpuUs: 0, residentMiB: 0 }) };
}

async function openSidecar(wanted: 'http' | 'pillion'): Promise<Household> {
  const sidecar = fork(new URL('./sidecar.js', import.meta.url), [wanted, directory]);
  process.once('exit', () => sidecar.kill('SIGKILL'));
  sidecar.once('exit', (code, signal) => {
    process.send?.({ error: `the sidecar ended by itself (${signal ?? `exit code ${code}`})` }, () => process.exit(1));
  });
  const [address] = (await once(sidecar, 'message')) as [string];
  return {
    access: await openDuties(wanted, address),
    async report() {
      sidecar.send('report');
      return (await once(sidecar, 'message'))[0] as SidecarReport;
    },
  };
}
