import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../environment.js';
import { LatencyRecorder } from '../histogram.js';
import { Unavailable } from '../questions.js';
import type { Link, OwnMeasurement, Place, Transport } from './transport.js';

const run = promisify(execFile);
const source = join(packageRoot, 'bench', 'native', 'ping-pong.cc');
const batch = 16;

interface PingPongResult {
  count: number;
  elapsedNs: number;
  cpuUs: number;
  batchNs: number[];
}

/** What this machine allows at best: two C++ processes that spin on shared memory, without Node and without sleep. */
export const limit: Transport = {
  async connect(place: Place): Promise<Link> {
    const program = join(place.directory, 'ping-pong');
    await compile(program);
    return {
      measure: (durationMs, warmupMs) => measure(program, place.payloadBytes, durationMs, warmupMs),
      async close() {},
    };
  },
};

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

async function measure(program: string, payloadBytes: number, durationMs: number, warmupMs: number): Promise<OwnMeasurement> {
  const options = [payloadBytes, warmupMs, durationMs, batch].map(String);
  const { stdout } = await run(program, options, { maxBuffer: 64 * 1024 * 1024, timeout: durationMs + 10_000 });
  const { count, elapsedNs, cpuUs, batchNs } = JSON.parse(stdout) as PingPongResult;
  const recorder = new LatencyRecorder();
  for (const ns of batchNs) recorder.record(ns / batch / 1_000);
  return { count, batch, cpuUs, elapsedMs: elapsedNs / 1e6, latency: recorder.latency() };
}
