import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../environment.js';
import { LatencyRecorder } from '../rig/histogram.js';
import { Unavailable } from '../rig/questions.js';
import type { OwnMeasurement, Place, Transport } from './transport.js';

const run = promisify(execFile);
const source = join(packageRoot, 'bench', 'native', 'limits.cc');

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
export const limitMemcpy = limit('memcpy');
export const limitSyscall = limit('syscall');
export const limitWake = limit('wake');

function limit(what: string): Transport {
  return {
    async connect(place) {
      const program = join(place.directory, 'limits');
      await compile(program);
      return {
        measure: (durationMs, warmupMs) => measure(program, what, place, durationMs, warmupMs),
        async close() {},
      };
    },
  };
}

async function compile(program: string): Promise<void> {
  const compiler = process.env['CXX'] ?? 'g++';
  try {
    await run(compiler, ['-O2', '-std=c++17', '-Wall', '-Wextra', '-o', program, source], { timeout: 30_000 });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new Unavailable(`no C++ compiler (${compiler})`);
    throw new Error(`${compiler} failed: ${message.split('\n').at(1) ?? message}`);
  }
}

async function measure(program: string, what: string, place: Place, durationMs: number, warmupMs: number): Promise<OwnMeasurement> {
  const options = [what, ...[place.payloadBytes, place.gapUs, warmupMs, durationMs].map((value) => String(Math.round(value)))];
  const { stdout } = await run(program, options, { maxBuffer: 64 * 1024 * 1024, timeout: durationMs + warmupMs + 10_000 });
  const { count, elapsedNs, cpuUs, batch, samples } = JSON.parse(stdout) as Printed;
  const recorder = new LatencyRecorder();
  for (const [ns, times] of samples) recorder.record(ns / batch / 1_000, times);
  return { count, batch, cpuUs, elapsedMs: elapsedNs / 1e6, latency: recorder.latency() };
}
