import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { compileNative } from '../native/compile.js';
import { LatencyRecorder } from '../rig/histogram.js';
import type { OwnMeasurement, Place, Transport } from './transport.js';

const run = promisify(execFile);

interface Printed {
  count: number;
  elapsedNs: number;
  cpuUs: number;
  batch: number;
  /** Nanoseconds of a whole batch, and how often. */
  samples: [number, number][];
}

/** What this machine allows at best, measured by small C++ programs that are compiled when they are needed: see `native/limits.cc`. */
export const limitRing = limit('ring');
export const limitStream = limit('stream');
export const limitLine = limit('line');
export const limitMemcpy = limit('memcpy', mibPerSec);
export const limitSyscall = limit('syscall');
export const limitWake = limit('wake');

type Extras = (place: Place, measured: OwnMeasurement) => Record<string, number>;

function limit(what: string, extras: Extras = () => ({})): Transport {
  return {
    async connect(place) {
      const program = await compileNative('limits', place.directory);
      return {
        async measure(durationMs, warmupMs) {
          const measured = understand(await execute(program, what, place, durationMs, warmupMs));
          return { ...measured, extras: extras(place, measured) };
        },
        async close() {},
      };
    },
  };
}

async function execute(program: string, what: string, place: Place, durationMs: number, warmupMs: number): Promise<Printed> {
  const options = [what, ...[place.payloadBytes, place.gapUs, warmupMs, durationMs].map((value) => String(Math.round(value)))];
  try {
    const { stdout } = await run(program, options, { maxBuffer: 64 * 1024 * 1024, timeout: durationMs + warmupMs + 10_000 });
    return JSON.parse(stdout) as Printed;
  } catch (error) {
    const { stderr, signal, message } = error as Error & { stderr?: string; signal?: string };
    throw new Error(`the C++ program (${options.join(' ')}) failed: ${stderr?.trim().split('\n')[0] || signal || message}`);
  }
}

function understand({ count, elapsedNs, cpuUs, batch, samples }: Printed): OwnMeasurement {
  const recorder = new LatencyRecorder();
  for (const [ns, times] of samples) recorder.record(ns / batch / 1_000, times);
  return { count, batch, cpuUs, elapsedMs: elapsedNs / 1e6, latency: recorder.latency() };
}

/** Copied, by the median: what the clock and the sampling take between two copies does not slow them. */
function mibPerSec({ payloadBytes }: Place, { latency }: OwnMeasurement): Record<string, number> {
  return latency ? { mibPerSec: payloadBytes / 2 ** 20 / (latency.p50Us / 1e6) } : {};
}
