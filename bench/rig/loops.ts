import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { Bench } from 'tinybench';
import type { Exchange } from './exchange.js';
import type { LatencyRecorder } from './histogram.js';
import { plannedOf } from './payload.js';

/** How the operations of a round follow one another. All loops verify every operation and return how many they did. */
export interface Timing {
  durationMs: number;
  gapUs: number;
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
const eventsPerTurn = 1_024;
const samplesPerValue = 16;
/** Node's timers can't wait for less. */
const shortestSleepUs = 1_000;

/** The next operation starts when the last one was answered. */
export const closedLoop: Loop = (exchange, { durationMs, batch }, recorder) => {
  let turned = performance.now();
  return tinybenchLoop(durationMs, batch, recorder, async () => {
    const begun = performance.now();
    for (let i = 0; i < batch; i++) {
      const reply = exchange.issue(0);
      exchange.check(exchange.isSync ? reply : await reply);
    }
    const now = performance.now();
    if (now - turned > longestWithoutTurnMs) {
      await turn();
      turned = performance.now();
    }
    return now - begun;
  });
};

/** What an operation costs this thread: bursts back to back, with the queue drained outside the timed window. */
export const burstLoop: Loop = (exchange, { durationMs, batch, drain }, recorder) => {
  let count = 0;
  return tinybenchLoop(durationMs, batch, recorder, async () => {
    const begun = performance.now();
    for (let i = 0; i < batch; i++) {
      const reply = exchange.issue(0);
      exchange.check(reply instanceof Promise ? await reply : reply);
    }
    const spent = performance.now() - begun;
    count += batch;
    if (count % sendsPerDrain === 0) await drain();
    else if (count % sendsPerBurst === 0) await turn();
    return spent;
  });
};

/** `runBatch` returns the milliseconds that count; tinybench repeats it and keeps the samples. */
async function tinybenchLoop(
  durationMs: number,
  batch: number,
  recorder: LatencyRecorder,
  runBatch: () => Promise<number>,
): Promise<number> {
  const bench = new Bench({ time: durationMs, iterations: 1, warmup: false, retainSamples: true, throws: true });
  let count = 0;
  let endedAt = performance.now();
  bench.add('batch', async () => {
    const spent = await runBatch();
    count += batch;
    // The whole way from batch to batch counts, tinybench's own work included, or a cheap operation would go on far beyond its time.
    const now = performance.now();
    const cost = now - endedAt;
    endedAt = now;
    return { overriddenDuration: spent / batch, overriddenIterationCost: cost };
  });
  const [task] = await bench.run();
  for (const ms of samplesOf(task?.result)) recorder.record(ms * 1_000);
  return count;
}

/** One operation, then a rest in which both processes can fall asleep and the caches cool down. */
export const pacedLoop: Loop = async (exchange, { durationMs, gapUs }, recorder) => {
  const end = performance.now() + durationMs;
  let count = 0;
  while (performance.now() < end) {
    await rest(gapUs, count);
    const begun = performance.now();
    const reply = exchange.issue(0);
    const result = reply instanceof Promise ? await reply : reply;
    recorder.record((performance.now() - begun) * 1_000);
    exchange.check(result);
    count++;
  }
  return count;
};

/** As fast as the other side takes it. There is no latency to record; the rate is what counts. */
export const eventLoop: Loop = async (exchange, { durationMs, drain }) => {
  const end = performance.now() + durationMs;
  let count = 0;
  while (performance.now() < end) {
    for (let i = 0; i < eventsPerTurn; i++) {
      if (exchange.issue(0)) count++;
      else if (performance.now() < end) await drain();
      // Who fills the room with a few large messages asks too rarely whether it is time.
      else return count;
    }
    await turn();
  }
  return count;
};

/** Of what is many operations in one, a whole stream: samples are the share of each. */
export const bulkLoop: Loop = async (exchange, { durationMs, batch }, recorder) => {
  const end = performance.now() + durationMs;
  let count = 0;
  for (let begun = performance.now(); begun < end; begun = performance.now()) {
    exchange.check(await exchange.issue(0));
    recorder.record(((performance.now() - begun) * 1_000) / batch);
    count += batch;
  }
  return count;
};

/** What takes nanoseconds and asks nobody. Another value is read in each turn of the event loop. */
export const tightLoop: Loop = async (exchange, { durationMs, batch }, recorder) => {
  const end = performance.now() + durationMs;
  let count = 0;
  while (performance.now() < end) {
    await exchange.renew?.();
    for (let sample = 0; sample < samplesPerValue; sample++) {
      const begun = performance.now();
      for (let i = 0; i < batch; i++) exchange.check(exchange.issue(0));
      recorder.record(((performance.now() - begun) * 1_000) / batch);
      count += batch;
    }
    await turn();
  }
  return count;
};

/** One message to all, then the next when everybody has it. What it cost for each of them is in the sidecar's answer. */
export const fanOutLoop: Loop = async (exchange, { durationMs, batch }, recorder) => {
  const end = performance.now() + durationMs;
  let count = 0;
  while (performance.now() < end) {
    const reply = (await exchange.issue(0)) as Uint8Array;
    exchange.check(reply);
    recorder.record(plannedOf(reply), batch);
    count += batch;
  }
  return count;
};

/** A short rest is one in which the app works: its thread is busy, and only the sidecar has nothing to do. */
async function rest(gapUs: number, count: number): Promise<void> {
  if (gapUs >= shortestSleepUs) return sleep(gapUs / 1_000);
  if (count % sendsPerBurst === 0) await turn();
  const end = performance.now() + gapUs / 1_000;
  while (performance.now() < end);
}

function samplesOf(result: object | undefined): readonly number[] {
  const { latency } = (result ?? {}) as { latency?: { samples?: readonly number[] } };
  return latency?.samples ?? [];
}
