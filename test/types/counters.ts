/** Compiled, never run: counters, their labels and handlers are typed by the contract. */
import {
  type ClientCounters,
  type Counter,
  type CounterStatus,
  connect,
  contract,
  counter,
  event,
  type Gauge,
  gauge,
  type Handlers,
  type Histogram,
  histogram,
  type LabelNames,
  type MetricNames,
  type MetricSnapshot,
  type Server,
  serve,
  sumCounters,
} from '../../src/index.js';
import type { Equal, Expect } from './expect.js';

const shop = contract('shop', {
  log: event<string>(),
  orders: counter({ labels: ['country', 'status'], help: 'x' }),
  beats: counter(),
  carts: gauge({ unit: 'carts' }),
  load: gauge({ labels: ['core'] }),
  seconds: histogram({ buckets: [1, 2], labels: ['route'] }),
});
type D = typeof shop.definitions;

export type Checks = [
  Expect<Equal<MetricNames<D, 'counter'>, 'orders' | 'beats'>>,
  Expect<Equal<MetricNames<D, 'gauge'>, 'carts' | 'load'>>,
  Expect<Equal<MetricNames<D, 'histogram'>, 'seconds'>>,
  Expect<Equal<LabelNames<D, 'orders'>, 'country' | 'status'>>,
  Expect<Equal<LabelNames<D, 'beats'>, never>>,
  Expect<Equal<LabelNames<D, 'log'>, never>>,
  Expect<Equal<keyof Handlers<D>, 'log'>>,
];

const client = connect(shop, { counterBytes: 8192 });

export function counting(): void {
  const orders: Counter = client.counter('orders', { country: 'NZ', status: 200 });
  orders.add();
  orders.add(5);
  client.counter('beats').add();
  const carts: Gauge = client.gauge('carts');
  carts.set(1);
  carts.add(-1);
  const seconds: Histogram = client.histogram('seconds', { route: '/' });
  seconds.observe(0.5);
  const status: CounterStatus | undefined = client.status().counters;
  void status?.available;
  // @ts-expect-error labels are missing
  client.counter('orders');
  // @ts-expect-error a label is missing
  client.counter('orders', { country: 'NZ' });
  // @ts-expect-error a label too many
  client.counter('orders', { country: 'NZ', status: 200, more: 1 });
  // @ts-expect-error a label is no text
  client.counter('orders', { country: 'NZ', status: true });
  // @ts-expect-error it has no labels
  client.counter('beats', { country: 'NZ' });
  // @ts-expect-error a gauge is no counter
  client.counter('carts');
  // @ts-expect-error an event is no counter
  client.counter('log');
  // @ts-expect-error a counter is no event
  client.send('beats');
  // @ts-expect-error a counter is no method
  void client.call('beats');
  // @ts-expect-error counters do not go down by name
  client.counter('beats').set(1);
  // @ts-expect-error a gauge observes nothing
  client.gauge('carts').observe(1);
  // @ts-expect-error values are read-only
  client.counter('beats').value = 5;
}

export async function reading(): Promise<void> {
  const server: Server<D> = await serve(shop, { log: () => {} }, { maxCounterBytes: 0 });
  const all: ClientCounters[] = server.counters();
  server.on('disconnect', ({ counters }) => {
    type _Types = Expect<Equal<typeof counters, ClientCounters>>;
    all.push(counters);
  });
  for (const metric of sumCounters(all)) {
    type _Metric = Expect<Equal<typeof metric, MetricSnapshot>>;
    if (metric.kind === 'histogram') void metric.buckets[0]?.le;
    else void metric.value.toFixed();
    // @ts-expect-error not every metric has a value
    void metric.value;
  }
  // @ts-expect-error counters have no handlers
  void serve(shop, { log: () => {}, beats: () => {} });
}

// @ts-expect-error a histogram needs buckets
histogram();
// @ts-expect-error a histogram needs buckets
histogram({ labels: ['x'] });
// @ts-expect-error a counter has none
counter({ buckets: [1] });
// @ts-expect-error labels are names
gauge({ labels: [1] });
