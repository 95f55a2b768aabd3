import type { Row } from '../result.js';
import type { Pattern } from '../rig/lane.js';

const smallestLargeBytes = 16 * 1_024;
const sleepGapUs = 1_000;

/** Adds to each of pillion's rows which physical limit it is up against, and how many times as long it takes. */
export function relateToLimits(rows: readonly Row[]): Row[] {
  const limits = rows.filter(({ scenario, status }) => scenario === 'limits' && status === 'ok');
  return rows.map((row) => {
    const limit = isOurs(row) ? limitOf(row, limits) : undefined;
    const spentUs = timeOf(row);
    const leastUs = limit && leastTimeOf(limit);
    if (!limit || !spentUs || !leastUs) return row;
    return { ...row, limit: limit.transport, timesLimit: Number((spentUs / leastUs).toPrecision(3)) };
  });
}

/** Of the others no limit is known. */
const limited: readonly Pattern[] = ['call', 'lookup', 'call-sync', 'send', 'event'];

function isOurs({ transport, status }: Row): boolean {
  return status === 'ok' && (transport === 'socket' || transport.startsWith('shm'));
}

/**
 * A round trip between processes that are awake can't beat that of two spinning C++ programs; one between sleepers can't beat a
 * wake-up in each direction. Who only hands a message over can't beat a C++ producer on the same ring.
 */
function limitOf(row: Row, limits: readonly Row[]): Row | undefined {
  const named = (name: string) => limits.filter(({ transport }) => transport === name);
  if (!limited.includes(row.pattern) || row.clients > 1 || row.cpuLoad || row.busyShare > 0) return undefined;
  if (row.pattern === 'send' || row.pattern === 'event')
    return row.gapUs > 0 || row.ratePerSec > 0 ? undefined : closest(row.payloadBytes, named('limit-stream'), bytesOf);
  if (row.gapUs >= sleepGapUs) return closest(row.gapUs, named('limit-wake'), ({ gapUs }) => gapUs);
  if (row.ratePerSec > 0) return undefined;
  return row.payloadBytes < smallestLargeBytes
    ? closest(row.payloadBytes, named('limit-ring'), bytesOf)
    : sameSize(row, named('limit-memcpy'));
}

/** What a large message has to pay for at least is its copies. */
function sameSize(row: Row, limits: readonly Row[]): Row | undefined {
  return limits.find(({ payloadBytes }) => payloadBytes === row.payloadBytes);
}

function bytesOf({ payloadBytes }: Row): number {
  return payloadBytes;
}

function closest(wanted: number, rows: readonly Row[], value: (row: Row) => number): Row | undefined {
  const distance = (row: Row) => Math.abs(Math.log((value(row) + 1) / (wanted + 1)));
  return rows.toSorted((a, b) => distance(a) - distance(b))[0];
}

/** A call copies its payload into and out of a ring, twice. */
const copiesPerCall = 4;

function leastTimeOf(limit: Row): number | null {
  const us = timeOf(limit);
  return limit.transport === 'limit-memcpy' && us !== null ? us * copiesPerCall : us;
}

/** Of one operation; where only the rate is known, from that. */
function timeOf({ p50Us, opsPerSec, pattern }: Row): number | null {
  if (pattern === 'event') return opsPerSec && 1e6 / opsPerSec;
  return p50Us;
}
