/**
 * The clock of an open loop, in a process of its own, as requests from outside would come: it writes to its standard output when
 * operations are due. Node's timers know only whole milliseconds, and an app that spins until the next operation would
 * neither sleep nor have a meaningful CPU time.
 */

import { writeSync } from 'node:fs';
import { monotonicUs } from './clock.js';

/** A tick is two 64-bit floats: the time on the shared clock, and how many operations are due. */
export const tickBytes = 16;

/** Above this many ticks a second, waking up would cost this process more than a third of a CPU: several operations share one. */
const mostTicksPerSec = 5_000;

if (process.argv[2] !== undefined) pace(Number(process.argv[2]), Number(process.argv[3]));

function pace(ratePerSec: number, durationMs: number): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  const perTick = Math.ceil(ratePerSec / mostTicksPerSec);
  const intervalUs = (perTick * 1e6) / ratePerSec;
  const ticks = Math.floor((durationMs * 1e3) / intervalUs);
  const tick = new Float64Array([0, perTick]);
  const bytes = new Uint8Array(tick.buffer);
  const startUs = monotonicUs() + 1_000;
  for (let i = 0; i < ticks; i++) {
    const dueUs = startUs + i * intervalUs;
    const restUs = dueUs - monotonicUs();
    if (restUs > 0) Atomics.wait(sleeper, 0, 0, restUs / 1e3);
    // Waking up late is this process's own fault. But where it is late because the app did not read, the plan stands.
    tick[0] = restUs > 0 ? monotonicUs() : dueUs;
    writeSync(1, bytes);
  }
}
