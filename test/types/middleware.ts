/** Compiled, never run: one shape of middleware for both sides, and what each side knows. */
import {
  type CallMessage,
  type ClientMiddleware,
  connect,
  type HandleMessage,
  type Middleware,
  type MiddlewareContext,
  type ServerMiddleware,
  serve,
} from '../../src/index.js';
import { type OpenTelemetryOptions, traceWithOpenTelemetry } from '../../src/otel/index.js';
import { audit } from './contract.js';
import type { Equal, Expect } from './expect.js';
import { handlers } from './server.js';

export const either: Middleware = async (context, next) => {
  type _Types = [
    Expect<Equal<typeof context, MiddlewareContext>>,
    Expect<Equal<typeof context.side, 'client' | 'server'>>,
    Expect<Equal<typeof context.kind, 'event' | 'method' | 'stream' | 'upload' | 'duplex'>>,
    Expect<Equal<typeof context.payload, unknown>>,
  ];
  if (context.side === 'client') context.headers['user'] = 'x';
  else void context.peer.uid;
  // @ts-expect-error only one side knows who calls
  void context.peer;
  context.payload = 5;
  // @ts-expect-error names stay
  context.name = 'other';
  return next();
};

export const near: ClientMiddleware = (context, next) => {
  context.signal = AbortSignal.timeout(5);
  if (context.isSync) return next();
  return Promise.resolve(next()).catch(() => 5);
};

export const far: ServerMiddleware = ({ headers, clientId, redelivered, sequence, timeoutMs, signal }, next) => {
  type _Types = [
    Expect<Equal<typeof signal, AbortSignal>>,
    Expect<Equal<typeof clientId, string>>,
    Expect<Equal<typeof redelivered, boolean>>,
  ];
  // @ts-expect-error what was sent is what it is; a copy may be given on
  headers['user'] = 'x';
  return sequence + timeoutMs > 0 ? next() : undefined;
};

connect(audit, { use: [either, near, (_context, next) => next()] });
void serve(audit, handlers, { use: [either, far] });
// @ts-expect-error the server's has no peer here
connect(audit, { use: [far] });
// @ts-expect-error the client's has no isSync here
void serve(audit, handlers, { use: [near] });
// @ts-expect-error a list
connect(audit, { use: either });

export const stop: () => void = traceWithOpenTelemetry();
export const options: OpenTelemetryOptions = {};
export const told: [CallMessage['kind'], HandleMessage['redelivered']] = ['method', false];
