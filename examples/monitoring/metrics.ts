import { createServer, type Server } from 'node:http';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** The sidecar's instruments. Only `orders` survives a restart; the others begin at 0, as Prometheus expects. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  return {
    registry,
    orders: new Counter({
      name: 'orders_created_total',
      help: 'Orders created, each one counted once, over all restarts',
      registers,
    }),
    redelivered: new Counter({
      name: 'orders_redelivered_total',
      help: 'Order events that came again after an earlier sidecar died, by what became of them',
      labelNames: ['outcome'] as const,
      registers,
    }),
    requests: new Counter({
      name: 'http_requests_total',
      help: 'Requests answered by the app',
      labelNames: ['method', 'route', 'status'] as const,
      registers,
    }),
    duration: new Histogram({
      name: 'http_request_duration_seconds',
      help: 'From the arrival of a request to its answer',
      labelNames: ['method', 'route'] as const,
      buckets: [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1],
      registers,
    }),
    errors: new Counter({
      name: 'app_errors_total',
      help: 'Requests that ended in an error, by its code',
      labelNames: ['route', 'code'] as const,
      registers,
    }),
    loopDelay: new Gauge({
      name: 'app_event_loop_delay_seconds',
      help: 'How late the event loop of the app was, over the last second',
      labelNames: ['quantile'] as const,
      registers,
    }),
  };
}

export type Metrics = ReturnType<typeof createMetrics>;

/** Answers `GET /metrics` in the text format that Prometheus scrapes. */
export function createMetricsServer(registry: Registry): Server {
  return createServer(async (request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    const text = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType }).end(text);
  });
}
