import type { Conditions, Outcome } from '../rig/lane.js';
import { makeLine, makeLookup } from '../rig/payload.js';

export interface Metric {
  name: string;
  conditions: Pick<Conditions, 'pattern' | 'payloadBytes'>;
  /** Microseconds per operation. */
  value(outcome: Outcome): number;
}

const p50 = ({ latency }: Outcome) => latency?.p50Us ?? Number.NaN;
const inverseRate = ({ opsPerSec }: Outcome) => 1e6 / opsPerSec;

/** The hot paths. All are times, so that more is always worse. */
export const metrics: readonly Metric[] = [
  { name: 'call', conditions: { pattern: 'call', payloadBytes: 64 }, value: p50 },
  { name: 'send', conditions: { pattern: 'send', payloadBytes: JSON.stringify(makeLine(1)).length }, value: p50 },
  { name: 'call-object', conditions: { pattern: 'lookup', payloadBytes: JSON.stringify(makeLookup(1)).length }, value: p50 },
  { name: 'call-sync', conditions: { pattern: 'call-sync', payloadBytes: 64 }, value: p50 },
  { name: 'one-way', conditions: { pattern: 'event', payloadBytes: 64 }, value: inverseRate },
  { name: 'call-large', conditions: { pattern: 'call', payloadBytes: 2 ** 20 }, value: p50 },
];

export const metricNames = metrics.map(({ name }) => name);
