import { contract, event, method } from '../../src/index.js';

/** One answered HTTP request. */
export interface RequestEvent {
  method: string;
  /** The route's pattern, never the URL: a metric label must not grow with what strangers type. */
  route: string;
  status: number;
  durationMs: number;
  /** The order that it created, if it did. */
  orderId: string | null;
}

/** One request that ended in an error, by its stable code. */
export interface ErrorEvent {
  route: string;
  code: string;
}

/** How late the app's event loop ran its timers during the last second. */
export interface LatencyEvent {
  p50Ms: number;
  p99Ms: number;
}

/** What the sidecar has on its books. */
export interface Summary {
  /** Orders counted, each one once. */
  orders: number;
  /** Of these, how many an earlier sidecar had counted and this one read back from the journal. */
  restored: number;
  /** Order events that came a second time. */
  redelivered: number;
  /** Of these, how many had been counted before the earlier sidecar died. */
  skipped: number;
}

export const monitoring = contract('monitoring', {
  request: event<RequestEvent>(),
  error: event<ErrorEvent>(),
  latency: event<LatencyEvent>(),
  summary: method<null, Summary>(),
});
