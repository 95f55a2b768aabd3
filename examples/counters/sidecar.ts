import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ClientCounters, type MetricSnapshot, serve, sumCounters } from '../../src/index.js'; // from 'pillion'
import { shop } from './contract.js';

const server = await serve(shop, {});
const gone = new Map<string, ClientCounters>(); // so that totals never go back
server.on('disconnect', ({ counters }) => gone.set(counters.clientId, counters));

const line = (name: string, labels: object, value: number): string =>
  `${name}{${Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`)}} ${value}\n`;
function lines(metric: MetricSnapshot): string[] {
  const { name, labels } = metric;
  if (metric.kind !== 'histogram') return [line(name, labels, metric.value)];
  const buckets = metric.buckets.map(({ le, count }) => line(`${name}_bucket`, { ...labels, le: le < Infinity ? `${le}` : '+Inf' }, count));
  return [...buckets, line(`${name}_sum`, labels, metric.sum), line(`${name}_count`, labels, metric.count)];
}
const page = (): string[] => sumCounters([...gone.values(), ...server.counters()]).flatMap(lines);

const http = createServer((_request, response) => response.end(page().join('')));
http.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}/metrics`));
