import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { connect } from '../../src/index.js';
import { monitoring } from './contract.js';

/**
 * Room for what happens while no sidecar is there. An event takes about 150 bytes here, so this is half a minute at
 * 1,000 requests per second. When it is full, further events are dropped and counted: monitoring never stops the shop.
 */
const EVENT_RING_BYTES = 4 * 1024 * 1024;
const LATENCY_INTERVAL_MS = 1000;
const NS_PER_MS = 1e6;

export interface Monitoring {
  /** Resolves when the sidecar has handled every event accepted so far. */
  flush(): Promise<void>;
  counts(): { accepted: number; dropped: number };
}

/** Everything the app does for its metrics. Call it before the routes are added. */
export function addMonitoring(app: FastifyInstance): Monitoring {
  const client = connect(monitoring, {
    path: process.env.PILLION_SOCKET,
    ringBytes: { toServer: EVENT_RING_BYTES },
  });
  const counts = { accepted: 0, dropped: 0 };
  const count = (accepted: boolean) => {
    if (accepted) counts.accepted++;
    else counts.dropped++;
  };

  // onSend, not onResponse: the event is in shared memory before the answer leaves. Whoever holds a 201 can rely on the
  // order being counted, even if this process dies right after it.
  app.addHook('onSend', async (request, reply) => {
    count(
      client.send('request', {
        method: request.method,
        route: routeOf(request),
        status: reply.statusCode,
        durationMs: reply.elapsedTime,
        orderId: createdOrder(reply),
      }),
    );
  });
  app.addHook('onError', async (request, _reply, error) => {
    count(client.send('error', { route: routeOf(request), code: error.code ?? error.name }));
  });

  const loopDelay = monitorEventLoopDelay({ resolution: 10 });
  loopDelay.enable();
  const timer = setInterval(() => {
    const p50Ms = loopDelay.percentile(50) / NS_PER_MS;
    const p99Ms = loopDelay.percentile(99) / NS_PER_MS;
    count(client.send('latency', { p50Ms, p99Ms }));
    loopDelay.reset();
  }, LATENCY_INTERVAL_MS).unref();

  app.addHook('onClose', async () => {
    clearInterval(timer);
    loopDelay.disable();
    await client.close();
  });

  return { flush: () => client.flush(), counts: () => ({ ...counts }) };
}

function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'unknown';
}

/** The order's id, read from the answer itself so that the shop need not hand it over. */
function createdOrder(reply: FastifyReply): string | null {
  const location = reply.statusCode === 201 ? reply.getHeader('location') : undefined;
  return typeof location === 'string' ? location.slice(location.lastIndexOf('/') + 1) : null;
}
