import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const CONNECTIONS = 16;
const MS_PER_SECOND = 1000;
/** Every so many-th order asks for something that the shop does not have, and must get a 400. */
const BAD_ORDER_EVERY = 40;

const GOOD_ORDER = JSON.stringify({
  items: [
    { item: 'coffee-beans', quantity: 2 },
    { item: 'filter-papers', quantity: 1 },
  ],
});
const GOOD_ORDER_CENTS = 3290;
const BAD_ORDER = JSON.stringify({ items: [{ item: 'unicorn', quantity: 1 }] });

interface Answer {
  status: number;
  body: string;
}

/** Customers on 16 keep-alive connections, who order at a steady rate whatever happens behind the shop. */
export class Customers {
  /** The ids of all orders that were answered with 201. */
  readonly orders = new Set<string>();
  rejectedCount = 0;
  /** How long each answer took, by the phase in which its request was sent. */
  readonly latenciesMs = new Map<string, number[]>();
  phase = '';
  readonly #port: number;
  readonly #total: number;
  readonly #perSecond: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  #startedCount = 0;
  #answeredCount = 0;
  #waiting: { count: number; resolve: () => void } | undefined;

  constructor(port: number, total: number, perSecond: number) {
    this.#port = port;
    this.#total = total;
    this.#perSecond = perSecond;
  }

  get answeredCount(): number {
    return this.#answeredCount;
  }

  /** Posts all orders. Rejects at the first answer that is not the right one. */
  async run(): Promise<void> {
    const startMs = performance.now();
    try {
      await Promise.all(Array.from({ length: CONNECTIONS }, () => this.#customer(startMs)));
    } finally {
      this.#agent.destroy();
    }
  }

  /** Resolves when this many orders were answered. */
  answered(count: number): Promise<void> {
    if (this.#answeredCount >= count) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting = { count, resolve };
    });
  }

  async #customer(startMs: number): Promise<void> {
    while (this.#startedCount < this.#total) {
      const index = this.#startedCount++;
      const waitMs = startMs + (index / this.#perSecond) * MS_PER_SECOND - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      await this.#order(index % BAD_ORDER_EVERY === BAD_ORDER_EVERY - 1);
      this.#answeredCount++;
      if (this.#waiting !== undefined && this.#answeredCount >= this.#waiting.count) {
        this.#waiting.resolve();
        this.#waiting = undefined;
      }
    }
  }

  async #order(isBad: boolean): Promise<void> {
    const phase = this.phase;
    const sentMs = performance.now();
    const answer = await this.#post(isBad ? BAD_ORDER : GOOD_ORDER);
    this.#note(phase, performance.now() - sentMs);
    if (isBad && answer.status === 400) {
      this.rejectedCount++;
      return;
    }
    const order = JSON.parse(answer.body);
    if (isBad || answer.status !== 201 || order.totalCents !== GOOD_ORDER_CENTS || this.orders.has(order.id)) {
      throw new Error(`The shop gave a wrong answer. status=${answer.status} body=${answer.body}`);
    }
    this.orders.add(order.id);
  }

  #note(phase: string, latencyMs: number): void {
    const latencies = this.latenciesMs.get(phase);
    if (latencies === undefined) this.latenciesMs.set(phase, [latencyMs]);
    else latencies.push(latencyMs);
  }

  #post(body: string): Promise<Answer> {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const options = { host: '127.0.0.1', port: this.#port, path: '/api/orders', method: 'POST' };
    return new Promise((resolve, reject) => {
      const outgoing = request({ ...options, agent: this.#agent, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
        response.on('error', reject);
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }
}
