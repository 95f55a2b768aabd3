import { setTimeout as sleep } from 'node:timers/promises';
import { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import test, { type ExecutionContext } from 'ava';
import { type Client, connect, serve } from '../../src/index.js';
import { traceWithOpenTelemetry } from '../../src/otel/index.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { withContext } from './fixtures/context-contract.js';
import { type ContextHandlers, handlers, noted } from './fixtures/context-handlers.js';
import { type Transport, transportOptions } from './fixtures/suite.js';

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());

async function start(
  t: ExecutionContext,
  transport: Transport,
  own: Partial<ContextHandlers> = {},
): Promise<Client<(typeof withContext)['definitions']>> {
  const path = socketPath();
  const server = await serve(withContext, { ...handlers, ...own }, { path });
  const client = connect(withContext, { path, ...transportOptions(transport) });
  const stop = traceWithOpenTelemetry();
  t.teardown(async () => {
    stop();
    await client.close();
    await server.close({ timeout: 100 });
    exporter.reset();
  });
  await client.ready({ timeout: 20_000 });
  t.is(client.status().transport, transport);
  noted.splice(0);
  return client;
}

async function spans(count: number): Promise<ReadableSpan[]> {
  await until(`${count} spans`, () => exporter.getFinishedSpans().length >= count);
  const list = [...exporter.getFinishedSpans()];
  exporter.reset();
  return list;
}

/** Runs with a span of the test's own. */
async function within<T>(work: () => Promise<T>): Promise<T> {
  const span = trace.getTracer('test').startSpan('test', { root: true });
  try {
    return await context.with(trace.setSpan(ROOT_CONTEXT, span), work);
  } finally {
    span.end();
  }
}

function over(title: string, body: (t: ExecutionContext, transport: Transport) => Promise<void>): void {
  for (const transport of ['shm', 'socket'] as Transport[]) test.serial(`${transport}: ${title}`, (t) => body(t, transport));
}

const of = (list: ReadableSpan[], kind: SpanKind): ReadableSpan => list.find((span) => span.kind === kind) as ReadableSpan;

over('a call is one trace: the caller, the client, the server, and what the handler does', async (t, transport) => {
  const client = await start(t, transport, {
    seeLater: async (ms, { headers }) => {
      await sleep(ms);
      trace.getTracer('test').startSpan('inner').end();
      return { headers: { ...headers } } as never;
    },
  });
  const { headers } = await within(() => client.call('seeLater', 1));
  const list = await spans(4);
  const [near, far] = [of(list, SpanKind.CLIENT), of(list, SpanKind.SERVER)];
  const [test, inner] = ['test', 'inner'].map((name) => list.find((span) => span.name === name)) as [ReadableSpan, ReadableSpan];
  t.deepEqual([near.name, far.name], ['with-context/seeLater', 'with-context/seeLater']);
  t.is(new Set(list.map((span) => span.spanContext().traceId)).size, 1);
  t.is(near.parentSpanContext?.spanId, test.spanContext().spanId);
  t.is(far.parentSpanContext?.spanId, near.spanContext().spanId);
  t.is(inner.parentSpanContext?.spanId, far.spanContext().spanId);
  t.like(near.attributes, { 'rpc.system': 'pillion', 'rpc.service': 'with-context', 'rpc.method': 'seeLater' });
  t.regex(headers['traceparent'] as string, new RegExp(`^00-${near.spanContext().traceId}-${near.spanContext().spanId}-01$`));
});

over('events carry the context of their sender to a consumer span', async (t, transport) => {
  const client = await start(t, transport);
  await within(async () => {
    client.send('note', 1, { headers: { user: 'ada' } });
    await client.flush();
  });
  const list = await spans(2);
  const [consumer, test] = [of(list, SpanKind.CONSUMER), of(list, SpanKind.INTERNAL)];
  t.is(consumer.parentSpanContext?.spanId, test.spanContext().spanId);
  t.is(consumer.attributes['pillion.redelivered'], false);
  t.is(noted.splice(0)[0]?.headers['user'], 'ada');
  client.send('note', 2);
  const [alone] = await spans(1);
  t.is(alone?.parentSpanContext, undefined, 'without a span there is nothing to carry');
});

over('a failure is the failure of both spans', async (t, transport) => {
  const client = await start(t, transport);
  await t.throwsAsync(client.call('fail', 'oh no'));
  for (const span of await spans(2)) {
    t.deepEqual(span.status, { code: SpanStatusCode.ERROR, message: 'oh no' });
    t.is(span.attributes['error.type'], 'ERR_FAILED');
    t.is(span.events[0]?.name, 'exception');
  }
});

over('streams have spans that last as long as they do', async (t, transport) => {
  const client = await start(t, transport);
  for await (const _ of client.stream('list', 1));
  const list = await spans(2);
  t.is(of(list, SpanKind.SERVER).parentSpanContext?.spanId, of(list, SpanKind.CLIENT).spanContext().spanId);
  await client.upload('put', [1]);
  t.is((await spans(2)).length, 2);
  const talk = client.duplexItems('talk');
  await talk.write('a');
  await talk.next();
  await talk.next();
  t.deepEqual(exporter.getFinishedSpans(), []);
  await talk.end();
  for await (const _ of talk);
  t.is((await spans(2)).length, 2);
});

over('without the adapter a traceparent is a header like others, and no span is made', async (t, transport) => {
  const path = socketPath();
  const server = await serve(withContext, handlers, { path });
  const client = connect(withContext, { path, ...transportOptions(transport) });
  t.teardown(async () => {
    await client.close();
    await server.close({ timeout: 100 });
  });
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  traceWithOpenTelemetry()();
  const seen = await within(() => client.call('see', 1, { headers: { traceparent } }));
  t.deepEqual(seen.headers, { traceparent });
  t.is((await spans(1)).length, 1);
});

over("a provider and a propagator of one's own are used in place of the global ones", async (t, transport) => {
  const client = await start(t, transport);
  const own = new InMemorySpanExporter();
  const stop = traceWithOpenTelemetry({
    tracerProvider: new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(own)] }),
    propagator: {
      inject: (_context, carrier) => {
        (carrier as Record<string, string>)['own'] = 'yes';
      },
      extract: (parent) => parent,
    },
  });
  const seen = await client.call('see', 1);
  stop();
  t.is(seen.headers['own'], 'yes');
  t.is(own.getFinishedSpans().length, 2);
});
