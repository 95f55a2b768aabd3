import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { Bench } from 'tinybench';
import type { Exchange } from './exchange.js';
import type { LatencyRecorder } from './histogram.js';

/** How the operations of a round follow one another. All loops verify every operation and return how many they did. */
export interface Timing {
  durationMs: number;
  gapMs: number;
  /** Operations per sample: reading the clock around a single one would distort what takes less than microseconds. */
  batch: number;
  /** Between bursts: gives the other side time to take what lies in the queue. */
  drain(): Promise<void>;
}

export type Loop = (exchange: Exchange, timing: Timing, recorder: LatencyRecorder) => Promise<number>;

/** A call that is answered without the event loop would keep it from ever turning. */
const longestWithoutTurnMs = 5;
/** After a burst the loop turns once, as it would between two requests; before a queue can run full, it is drained. */
const sendsPerBurst = 64;
const sendsPerDrain = 1_024;
const streamedPerTurn = 1_024;

/** The next operation starts when the last one was answered. */
export const closedLoop: Loop = async (exchange, { durationMs, batch }, recorder) => {
  const end = performance.now() + durationMs;
  let turned = performance.now();
  let count = 0;
  for (let now = turned; now < end; ) {
    const begun = performance.now();
    for (let i = 0; i < batch; i++) {
      const reply = exchange.issue();
      exchange.check(exchange.isSync ? reply : await reply);
    }
    now = performance.now();
    recorder.record(((now - begun) * 1_000) / batch);
    count += batch;
    if (now - turned > longestWithoutTurnMs) {
      await turn();
      turned = performance.now();
    }
  }
  return count;
};

/** One operation, then a rest in which both processes can fall asleep and the caches cool down. */
export const pacedLoop: Loop = async (exchange, { durationMs, gapMs }, recorder) => {
  const end = performance.now() + durationMs;
  let count = 0;
  while (performance.now() < end) {
    await sleep(gapMs);
    const begun = performance.now();
    const reply = exchange.issue();
    const result = reply instanceof Promise ? await reply : reply;
    recorder.record((performance.now() - begun) * 1_000);
    exchange.check(result);
    count++;
  }
  return count;
};

/** What an operation costs this thread: bursts back to back, with the queue drained outside the timed window. */
export const burstLoop: Loop = async (exchange, { durationMs, batch, drain }, recorder) => {
  const bench = new Bench({ time: durationMs, iterations: 1, warmup: false, retainSamples: true, throws: true });
  let count = 0;
  let endedAt = performance.now();
  bench.add('burst', async () => {
    const begun = performance.now();
    for (let i = 0; i < batch; i++) {
      const reply = exchange.issue();
      exchange.check(reply instanceof Promise ? await reply : reply);
    }
    const spent = performance.now() - begun;
    count += batch;
    if (count % sendsPerDrain === 0) await drain();
    else if (count % sendsPerBurst === 0) await turn();
    // The whole way from burst to burst counts, tinybench's own work included, or a cheap operation would go on far beyond its time.
    const now = performance.now();
    const cost = now - endedAt;
    endedAt = now;
    return { overriddenDuration: spent / batch, overriddenIterationCost: cost };
  });
  const [task] = await bench.run();
  for (const ms of samplesOf(task?.result)) recorder.record(ms * 1_000);
  return count;
};

/** As fast as the other side takes it. There is no latency to record; the rate is what counts. */
export const streamLoop: Loop = async (exchange, { durationMs, drain }) => {
  const end = performance.now() + durationMs;
  let count = 0;
  while (performance.now() < end) {
    for (let i = 0; i < streamedPerTurn; i++) {
      if (exchange.issue()) count++;
      else await drain();
    }
    await turn();
  }
  return count;
};

function samplesOf(result: object | undefined): readonly number[] {
  const { latency } = (result ?? {}) as { latency?: { samples?: readonly number[] } };
  return latency?.samples ?? [];
}
