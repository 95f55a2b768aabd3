/**
 * CLOCK_MONOTONIC is the same in all processes of a host, but `process.hrtime` is slow to read; `performance.now()` is fast, but counts
 * from each process's own start. The distance between the two is taken from the closest pair of readings: the first ones also load code.
 */
const originUs = Array.from({ length: 50 }, readBoth).reduce((best, next) => (next.spanUs < best.spanUs ? next : best)).originUs;

/** Microseconds on the clock that app and sidecar share. */
export function monotonicUs(): number {
  return originUs + performance.now() * 1e3;
}

function readBoth(): { originUs: number; spanUs: number } {
  const before = performance.now();
  const [seconds, nanoseconds] = process.hrtime();
  const after = performance.now();
  return { originUs: seconds * 1e6 + nanoseconds / 1e3 - ((before + after) / 2) * 1e3, spanUs: (after - before) * 1e3 };
}
