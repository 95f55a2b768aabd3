import type { Peer } from '../channel/peer.js';
import type { MetricKind } from './layout.js';

/** One number with its labels, as it was when it was read. */
export interface ValueSnapshot {
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly unit: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One distribution with its labels. */
export interface HistogramSnapshot extends Omit<ValueSnapshot, 'kind' | 'value'> {
  readonly kind: 'histogram';
  readonly count: number;
  readonly sum: number;
  /** How many were at most `le`; the last one is Infinity. */
  readonly buckets: readonly { readonly le: number; readonly count: number }[];
}

export type MetricSnapshot = ValueSnapshot | HistogramSnapshot;

/** All numbers of one client. */
export interface ClientCounters {
  readonly clientId: string;
  readonly peer: Peer;
  /** False in a `disconnect` event: these are the last values. */
  readonly isConnected: boolean;
  /** Can this server read the client's counters? */
  readonly available: boolean;
  /** Why it cannot. */
  readonly reason: string | undefined;
  readonly metrics: readonly MetricSnapshot[];
}

/**
 * Adds up the numbers of several clients that have the same name, kind, labels and buckets. Clients that are gone may be among them, so that totals never go
 * back: of a client that is there more than once the last one counts, and gauges count only while their client is connected.
 */
export function sumCounters(clients: Iterable<ClientCounters>): MetricSnapshot[] {
  const latest = new Map<string, ClientCounters>();
  // The id is the client's own claim; a process can take nobody's place but its own.
  for (const client of clients) latest.set(JSON.stringify([client.clientId, client.peer.pid, client.peer.uid]), client);
  const sums = new Map<string, MetricSnapshot>();
  for (const { metrics, isConnected } of latest.values()) {
    for (const metric of metrics) {
      if (metric.kind === 'gauge' && !isConnected) continue;
      const key = keyOf(metric);
      const other = sums.get(key);
      sums.set(key, other === undefined ? metric : add(other, metric));
    }
  }
  return [...sums.values()];
}

function keyOf(metric: MetricSnapshot): string {
  const { name, kind, labels } = metric;
  const bounds = metric.kind === 'histogram' ? metric.buckets.map(({ le }) => le) : [];
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([name, kind satisfies MetricKind, sorted, bounds]);
}

function add(a: MetricSnapshot, b: MetricSnapshot): MetricSnapshot {
  if (a.kind !== 'histogram' || b.kind !== 'histogram') {
    return { ...(a as ValueSnapshot), value: (a as ValueSnapshot).value + (b as ValueSnapshot).value };
  }
  const buckets = a.buckets.map(({ le, count }, index) => ({ le, count: count + (b.buckets[index]?.count ?? 0) }));
  return { ...a, count: a.count + b.count, sum: a.sum + b.sum, buckets };
}
