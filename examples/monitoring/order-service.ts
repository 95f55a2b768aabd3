import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { onParentMessage, onShutdown, tellParent } from './child.js';
import { addMonitoring } from './monitoring-hook.js';
import { addOrderRoutes } from './orders.js';

const app = fastify();
const monitor = addMonitoring(app);
addOrderRoutes(app);

onShutdown(() => app.close());
onParentMessage('flush', async () => {
  await monitor.flush();
  tellParent({ type: 'flushed', ...monitor.counts() });
});

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 0) });
const { port } = app.server.address() as AddressInfo;
console.log(`orders: http://127.0.0.1:${port}/api/orders`);
tellParent({ type: 'listening', port });
