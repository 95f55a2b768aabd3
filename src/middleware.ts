import type { Peer } from './channel/peer.js';
import { invalidArgument } from './options.js';
import { type MessageHeaders, ownHeaders } from './protocol/headers.js';
import type { Context } from './session/handler-context.js';
import type { Handler } from './session/route.js';
import { ignore, isThenable } from './thenable.js';

export type MessageKind = 'event' | 'method' | 'stream' | 'upload' | 'duplex';

interface AnyMiddlewareContext {
  readonly contract: string;
  readonly kind: MessageKind;
  readonly name: string;
  /** What goes on to the next one; may be replaced. Event: its payload. Method, stream: the request. Upload: the source of items at the client, undefined for `uploadWritable`. Upload, duplex: the items at the server. */
  payload: unknown;
}

export interface ClientMiddlewareContext extends AnyMiddlewareContext {
  readonly side: 'client';
  /** What is sent beside the payload: may be changed and replaced. */
  headers: Record<string, string>;
  /** The caller's; may be replaced. Not looked at by `send` and `callSync`. */
  signal: AbortSignal | undefined;
  /** The caller waits for the result of `send`, `callSync`, `stream`, `duplex` or `uploadWritable` with its thread: nothing here may answer with a promise. */
  readonly isSync: boolean;
}

export interface ServerMiddlewareContext extends AnyMiddlewareContext {
  readonly side: 'server';
  /** What was sent beside the payload. May be replaced, for what comes next. */
  headers: MessageHeaders;
  /** The rest is as in the handler's context. */
  readonly signal: AbortSignal;
  readonly peer: Peer;
  readonly clientId: string;
  readonly redelivered: boolean;
  readonly sequence: number;
  readonly timeoutMs: number;
}

export type MiddlewareContext = ClientMiddlewareContext | ServerMiddlewareContext;

/**
 * What a message goes through, the first of the list outermost. `next` carries out the rest and returns its result, or a promise of it; what a middleware returns is the result for the one
 * before, and what it throws is the failure. One that never calls `next` answers by itself. For methods `next` may be called again, which carries out the rest once more: a retry. For anything else
 * a second call throws.
 */
export type ClientMiddleware = (context: ClientMiddlewareContext, next: () => unknown) => unknown;
export type ServerMiddleware = (context: ServerMiddlewareContext, next: () => unknown) => unknown;
/** One for either side. */
export type Middleware = (context: MiddlewareContext, next: () => unknown) => unknown;

type Chain<C> = readonly ((context: C, next: () => unknown) => unknown)[];

/** The option `use`, checked; null if there is none. */
export function middlewareOption<M>(use: readonly M[] | undefined): readonly M[] | null {
  if (use === undefined) return null;
  if (!Array.isArray(use) || use.some((middleware) => typeof middleware !== 'function'))
    throw invalidArgument('use is not a list of functions (context, next)');
  return use.length === 0 ? null : [...use];
}

/** Runs a message through a chain, and `last` at its end. */
export function runChain<C extends AnyMiddlewareContext>(chain: Chain<C>, context: C, last: () => unknown): unknown {
  const run = (index: number): unknown => {
    const middleware = chain[index];
    if (middleware === undefined) {
      const result = last();
      // A middleware that does not look at it, because it answers by itself or fails, must not end the process when this fails.
      if (result instanceof Promise) ignore(result);
      return result;
    }
    let isCalled = false;
    return middleware(context, () => {
      if (isCalled && context.kind !== 'method')
        throw invalidArgument(
          `a middleware called next() twice for ${context.kind} "${context.name}": only a method may be carried out again`,
        );
      isCalled = true;
      return run(index + 1);
    });
  };
  return run(0);
}

/** The same for a caller who cannot wait: a promise is refused, and whoever calls `next` when it is over is told so. */
export function runSyncChain<C extends AnyMiddlewareContext>(chain: Chain<C>, context: C, verb: string, last: () => unknown): unknown {
  let isOver = false;
  try {
    const result = runChain(chain, context, () => {
      if (isOver) throw invalidArgument(`a middleware called next() after ${verb} "${context.name}" had returned`);
      return last();
    });
    if (!isThenable(result)) return result;
    ignore(result);
    throw invalidArgument(
      `a middleware answered ${verb} "${context.name}" with a promise, but its caller cannot wait: context.isSync says so`,
    );
  } finally {
    isOver = true;
  }
}

class HandlerMiddlewareContext implements ServerMiddlewareContext {
  readonly side = 'server';
  readonly contract: string;
  readonly kind: MessageKind;
  readonly name: string;
  payload: unknown;
  headers: MessageHeaders;
  private readonly context: Context;

  constructor(contract: string, kind: MessageKind, name: string, payload: unknown, context: Context) {
    this.contract = contract;
    this.kind = kind;
    this.name = name;
    this.payload = payload;
    this.headers = context.headers;
    this.context = context;
  }

  // Made when it is first read.
  get signal(): AbortSignal {
    return this.context.signal;
  }

  get peer(): Peer {
    return this.context.peer;
  }

  get clientId(): string {
    return this.context.clientId;
  }

  get redelivered(): boolean {
    return this.context.redelivered;
  }

  get sequence(): number {
    return this.context.sequence;
  }

  get timeoutMs(): number {
    return this.context.timeoutMs;
  }
}

/** A handler behind a chain. */
export function throughMiddleware(
  chain: readonly ServerMiddleware[] | null,
  contract: string,
  kind: string,
  name: string,
  handler: Handler,
): Handler {
  if (chain === null) return handler;
  return (payload, handlerContext) => {
    const context = handlerContext as Context;
    const own = new HandlerMiddlewareContext(contract, kind as MessageKind, name, payload, context);
    return runChain(chain, own, () => {
      if (own.headers !== context.headers) context.headers = ownHeaders(own.headers);
      return handler(own.payload, context);
    });
  };
}
