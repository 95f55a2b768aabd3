import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  type Context,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapPropagator,
  type TracerProvider,
  trace,
} from '@opentelemetry/api';
import type { CallMessage, HandleMessage, SendMessage } from '../diagnostics.js';
import { messageOf } from '../errors.js';

export interface OpenTelemetryOptions {
  /** Whose tracer makes the spans. Default: the one that was registered globally, whenever that was. */
  tracerProvider?: TracerProvider;
  /** How a context becomes headers: the global one by default, which is W3C Trace Context if an SDK was registered without another one. */
  propagator?: Pick<TextMapPropagator, 'inject' | 'extract'>;
}

type Spanned = CallMessage | HandleMessage;

const carrier = {
  get: (headers: Readonly<Record<string, string>>, name: string) => headers[name],
  set: (headers: Record<string, string>, name: string, value: string) => {
    headers[name] = value;
  },
  keys: (headers: Readonly<Record<string, string>>) => Object.keys(headers),
};

/**
 * Makes spans of everything that the clients and servers of this process do, by listening to their diagnostic channels: a client span for each call and stream, a server span for each that is
 * handled, a consumer span for each event. Contexts travel in the headers `traceparent` and `tracestate`; events carry that of their sender without a span of their own, which would cost more
 * than sending them does. Handlers, and server-side middleware, run inside their span's context.
 *
 * @returns a function that ends this.
 */
export function traceWithOpenTelemetry({ tracerProvider, propagator = propagation }: OpenTelemetryOptions = {}): () => void {
  const spans = new WeakMap<object, Span>();

  const begin = (message: Spanned, kind: SpanKind, parent: Context): Context => {
    const tracer = (tracerProvider ?? trace).getTracer('pillion');
    const { contract, name } = message;
    const attributes = { 'rpc.system': 'pillion', 'rpc.service': contract, 'rpc.method': name, 'pillion.kind': message.kind };
    const span = tracer.startSpan(`${contract}/${name}`, { kind, attributes }, parent);
    spans.set(message, span);
    return trace.setSpan(parent, span);
  };

  const onCall = (message: CallMessage): void => {
    propagator.inject(begin(message, SpanKind.CLIENT, context.active()), message.headers, carrier);
  };
  const onSend = ({ headers }: SendMessage): void => propagator.inject(context.active(), headers, carrier);
  const onHandle = (message: HandleMessage): void => {
    const parent = propagator.extract(context.active(), message.headers, carrier);
    const own = begin(message, message.kind === 'event' ? SpanKind.CONSUMER : SpanKind.SERVER, parent);
    const { clientId, redelivered, run } = message;
    spans.get(message)?.setAttributes({ 'pillion.client_id': clientId, 'pillion.redelivered': redelivered });
    message.run = (work) => context.with(own, run === undefined ? work : () => run(work));
  };
  const onError = (message: Spanned): void => {
    const span = spans.get(message);
    const { error } = message;
    const text = messageOf(error);
    span?.setStatus({ code: SpanStatusCode.ERROR, message: text });
    try {
      const { code } = (error ?? {}) as { code?: unknown };
      if (typeof code === 'string') span?.setAttribute('error.type', code);
      span?.recordException(error instanceof Error ? error : text);
    } catch {
      // An error with getters that throw is an error all the same.
    }
  };
  const end = (message: Spanned): void => {
    spans.get(message)?.end();
    spans.delete(message);
  };
  const endUnlessAsync = (message: Spanned): void => {
    if (!message.isAsync) end(message);
  };

  const listeners: [string, (message: never) => void][] = [
    ['pillion:send', onSend],
    ['pillion:call:start', onCall],
    ['pillion:handle:start', onHandle],
    ...['pillion:call', 'pillion:handle'].flatMap((name): [string, (message: never) => void][] => [
      [`${name}:error`, onError],
      [`${name}:end`, endUnlessAsync],
      [`${name}:asyncEnd`, end],
    ]),
  ];
  for (const [name, listener] of listeners) subscribe(name, listener as (message: unknown) => void);
  return () => {
    for (const [name, listener] of listeners) unsubscribe(name, listener as (message: unknown) => void);
  };
}
