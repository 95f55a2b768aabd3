import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';

const PRICES_IN_CENTS: Readonly<Record<string, number>> = {
  'coffee-beans': 1450,
  'filter-papers': 390,
  grinder: 8900,
  kettle: 4200,
};

interface OrderLine {
  item: string;
  quantity: number;
}

interface Order {
  items: OrderLine[];
}

const orderSchema = {
  type: 'object',
  required: ['items'],
  additionalProperties: false,
  properties: {
    items: {
      type: 'array',
      minItems: 1,
      maxItems: 50,
      items: {
        type: 'object',
        required: ['item', 'quantity'],
        additionalProperties: false,
        properties: {
          item: { type: 'string', enum: Object.keys(PRICES_IN_CENTS) },
          quantity: { type: 'integer', minimum: 1, maximum: 1000 },
        },
      },
    },
  },
} as const;

const createdSchema = {
  type: 'object',
  properties: {
    id: { type: 'string' },
    totalCents: { type: 'integer' },
  },
} as const;

function totalCents(order: Order): number {
  return order.items.reduce((sum, line) => sum + (PRICES_IN_CENTS[line.item] ?? 0) * line.quantity, 0);
}

/** The shop. It knows nothing of metrics, sidecars or pillion. */
export function addOrderRoutes(app: FastifyInstance): void {
  app.post<{ Body: Order }>('/api/orders', { schema: { body: orderSchema, response: { 201: createdSchema } } }, async (request, reply) => {
    const id = randomUUID();
    reply.header('location', `/api/orders/${id}`);
    return reply.code(201).send({ id, totalCents: totalCents(request.body) });
  });

  app.get('/healthz', async () => ({ status: 'ok' }));
}
