import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../rig/child.js';
import { usableCpus } from '../rig/cpus.js';
import type { Lane } from '../rig/lane.js';
import type { Metric } from './metrics.js';

/** A built pillion. */
export interface Build {
  name: 'base' | 'this';
  /** Path of its `index.js`. */
  library: string;
}

/** Whose process it was that failed decides who is to blame. */
export class BuildFailure extends Error {
  readonly build: Build;

  constructor(build: Build, cause: Error) {
    super(`${build.name}: ${cause.message}`, { cause });
    this.build = build;
  }
}

const rounds = 3;
const runIn = { runInMs: 100, warmupMs: 10, durationMs: 60 };
const timeoutMs = 20_000;
/**
 * Each side gets a CPU of its own and spins: left to the scheduler, a pair of processes that has just started is on one CPU in some runs and on two in
 * others, which changes times eightfold and says nothing about the build.
 */
const [appCpu, otherCpu] = usableCpus();
const isApart = otherCpu !== undefined;

/**
 * Microseconds per operation in a fresh pair of processes: what the compiler and the layout of memory happen to do differs from start to start,
 * and must not be taken for a property of the build. The best round counts, because disturbances only ever add time.
 */
export async function measureBuild(build: Build, metric: Metric, directory: string): Promise<number> {
  const app = new Child('app', new URL('../rig/app.js', import.meta.url), { env: { PILLION_BENCH_LIBRARY: build.library }, cpu: appCpu });
  try {
    await app.ask('open', laneOf(metric, mkdtempSync(join(directory, 'lane-'))), timeoutMs);
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < rounds; round++) {
      const plan = round === 0 ? runIn : { ...runIn, runInMs: 0 };
      best = Math.min(best, metric.value(await app.ask('round', plan, timeoutMs)));
    }
    return best;
  } catch (error) {
    throw new BuildFailure(build, error as Error);
  } finally {
    await app.end();
  }
}

function laneOf({ conditions }: Metric, directory: string): Lane {
  return {
    ...conditions,
    transport: isApart ? 'shm-spin' : 'shm',
    directory,
    gapUs: 0,
    ratePerSec: 0,
    clients: 1,
    idleClients: 0,
    busyShare: 0,
    cpuLoad: false,
    placement: isApart ? 'apart' : 'together',
  };
}
