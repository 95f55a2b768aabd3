import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { serve } from '../../src/index.js';
import { onShutdown, tellParent } from './child.js';
import { monitoring } from './contract.js';
import { Journal } from './journal.js';
import { createMetrics, createMetricsServer } from './metrics.js';
import { OrderBook } from './order-book.js';

const MS_PER_SECOND = 1000;

const journal = new Journal(process.env.ORDER_JOURNAL ?? 'orders.journal');
const metrics = createMetrics();
const book = new OrderBook(journal, metrics);

const server = await serve(
  monitoring,
  {
    request: ({ method, route, status, durationMs, orderId }, ctx) => {
      metrics.requests.inc({ method, route, status });
      metrics.duration.observe({ method, route }, durationMs / MS_PER_SECOND);
      if (orderId !== null) book.count(orderId, ctx.redelivered);
    },
    error: ({ route, code }) => metrics.errors.inc({ route, code }),
    latency: ({ p50Ms, p99Ms }) => {
      metrics.loopDelay.set({ quantile: '0.5' }, p50Ms / MS_PER_SECOND);
      metrics.loopDelay.set({ quantile: '0.99' }, p99Ms / MS_PER_SECOND);
    },
    summary: () => book.summary(),
  },
  { path: process.env.PILLION_SOCKET },
);

const http = createMetricsServer(metrics.registry);
onShutdown(async () => {
  await server.close();
  http.close();
  http.closeAllConnections();
  journal.close();
});

http.listen(Number(process.env.METRICS_PORT ?? 0), '127.0.0.1');
await once(http, 'listening');
const { port } = http.address() as AddressInfo;
console.log(`metrics: http://127.0.0.1:${port}/metrics`);
tellParent({ type: 'listening', port });
