import type { ClientNames } from './client-names.js';
import { type CallMessage, calls, debug, type SendMessage, sends } from './diagnostics.js';
import { messageOf, PillionError } from './errors.js';
import { type ClientMiddleware, type ClientMiddlewareContext, runChain, runSyncChain } from './middleware.js';
import { invalidArgument } from './options.js';
import { encodeHeaders, type MessageHeaders, ownHeaders } from './protocol/headers.js';
import type { ClientSession } from './session/client-session.js';
import type { StreamLimits } from './session/client-streams.js';
import type { DuplexEnd } from './session/duplex-end.js';
import type { ItemReceiver } from './session/item-receiver.js';
import { type Target, withHeaders } from './session/target.js';
import type { WaitOptions } from './session/waiters.js';
import { UploadWritable } from './streams/upload-writable.js';
import { ignore } from './thenable.js';

/**
 * What the client does with a message that has more to it than a payload: it goes through the middleware, then those are told who listen to the diagnostic channels, then its
 * headers are put before the payload. A message that has nothing of this never comes here.
 */
export class Outgoing {
  private readonly session: ClientSession;
  private readonly names: ClientNames;
  private readonly contract: string;
  private readonly chain: readonly ClientMiddleware[];

  constructor(session: ClientSession, names: ClientNames, contract: string, chain: readonly ClientMiddleware[] | null) {
    this.session = session;
    this.names = names;
    this.contract = contract;
    this.chain = chain ?? [];
  }

  send(target: Target, payload: unknown, headers: MessageHeaders | undefined): boolean {
    const send = (body: unknown, own: MessageHeaders | undefined): boolean =>
      this.toldOfSend(target, body, own, (message) => this.session.events.send(message, body));
    if (this.chain.length === 0) return send(payload, headers);
    let isAccepted = false;
    const context = this.contextOf(target, payload, headers, undefined, true);
    const result = runSyncChain(this.chain, context, 'send', () => {
      isAccepted = send(context.payload, context.headers);
      return isAccepted;
    });
    // Whoever forgets to return what `next` returned does not turn an accepted event into one that was not.
    return typeof result === 'boolean' ? result : isAccepted;
  }

  async sendWhenFree(target: Target, payload: unknown, headers: MessageHeaders | undefined, wait: WaitOptions): Promise<void> {
    await this.through(target, payload, headers, wait.signal, ({ payload: body, headers: own, signal }) =>
      this.toldOfSend(target, body, own, async (message) => {
        await this.session.events.sendWhenFree(message, body, { ...wait, signal: signal ?? null });
        return true;
      }),
    );
  }

  private toldOfSend<R extends boolean | Promise<boolean>>(
    target: Target,
    payload: unknown,
    headers: MessageHeaders | undefined,
    send: (target: Target) => R,
  ): R {
    if (!sends.hasSubscribers) return send(withHeaders(target, encodeHeaders(headers)));
    const message: SendMessage = { contract: this.contract, name: target.name, kind: 'event', payload, headers: mutableHeaders(headers) };
    sends.publish(message);
    const result = send(withHeaders(target, encodeWithAdditions(headers, message.headers)));
    if (typeof result === 'boolean') message.accepted = result;
    else result.then((isAccepted) => (message.accepted = isAccepted)).catch(() => (message.accepted = false));
    return result;
  }

  async call(
    target: Target,
    request: unknown,
    timeoutMs: number,
    callerSignal: AbortSignal | null,
    callerHeaders: MessageHeaders | undefined,
  ): Promise<unknown> {
    return this.through(target, request, callerHeaders, callerSignal, ({ payload, headers, signal }) =>
      this.traced(target, payload, headers, (message) => this.session.call(message, payload, timeoutMs, signal ?? null)),
    );
  }

  callSync(target: Target, request: unknown, timeoutMs: number, callerHeaders: MessageHeaders | undefined): unknown {
    const context = this.contextOf(target, request, callerHeaders, undefined, true);
    return runSyncChain(this.chain, context, 'callSync', () => {
      const { payload, headers } = context;
      return this.traced(target, payload, headers, (message) => this.session.callSync(message, payload, timeoutMs));
    });
  }

  stream(target: Target, request: unknown, limits: StreamLimits, callerHeaders: MessageHeaders | undefined): ItemReceiver<unknown> {
    const open: Open<ItemReceiver<unknown>> = (message, payload, own) =>
      this.session.streams.openStream(message, this.names.formatOf(target), payload, own);
    return this.opened({ target, request, limits, callerHeaders, verb: 'stream', open, fits: isAsyncIterable });
  }

  duplex(target: Target, limits: StreamLimits, callerHeaders: MessageHeaders | undefined): DuplexEnd<unknown, unknown> {
    const open: Open<DuplexEnd<unknown, unknown>> = (message, _request, own) =>
      this.session.streams.openDuplex(message, this.names.formatOf(target), own);
    return this.opened({ target, request: undefined, limits, callerHeaders, verb: 'duplex', open, fits: isAsyncIterable });
  }

  uploadWritable(target: Target, limits: StreamLimits, callerHeaders: MessageHeaders | undefined): UploadWritable<unknown> {
    const open: Open<UploadWritable<unknown>> = (message, _request, own) =>
      new UploadWritable(this.session.streams.openUpload(message, this.names.formatOf(target), own));
    const fits = (result: unknown): boolean => result instanceof UploadWritable;
    return this.opened({ target, request: undefined, limits, callerHeaders, verb: 'uploadWritable', open, fits });
  }

  /** What a middleware gives back has to fit, whatever it is; what was opened and not given back is closed. */
  private opened<R extends Closable>({ target, request, limits, callerHeaders, verb, open, fits }: Opening<R>): R {
    const context = this.contextOf(target, request, callerHeaders, limits.signal ?? undefined, true);
    let opened: R | undefined;
    try {
      const result = runSyncChain(this.chain, context, verb, () => {
        const { payload, headers, signal = null } = context;
        const openWith = (message: Target, onEnd?: StreamLimits['onEnd']): R =>
          open(message, payload, { ...limits, signal, onEnd: this.toldOfEnd(target, onEnd) });
        opened = calls.hasSubscribers
          ? this.openTraced(target, payload, headers, openWith)
          : openWith(withHeaders(target, encodeHeaders(headers)));
        return opened;
      });
      if (fits(result)) return result as R;
      throw invalidArgument(
        `a middleware answered ${verb} "${target.name}" with something that is ${verb === 'uploadWritable' ? 'not what next() returned' : 'no async iterable'}`,
      );
    } catch (error) {
      close(opened);
      throw error;
    }
  }

  private openTraced<R>(
    target: Target,
    payload: unknown,
    headers: MessageHeaders,
    open: (message: Target, onEnd: StreamLimits['onEnd']) => R,
  ): R {
    const message = this.callMessage(target, payload, headers);
    return calls.traceOpening(message, (onEnd) => open(withHeaders(target, encodeWithAdditions(headers, message.headers)), onEnd));
  }

  upload(target: Target, source: unknown, limits: StreamLimits, callerHeaders: MessageHeaders | undefined): Promise<unknown> {
    return this.through(target, source, callerHeaders, limits.signal, ({ payload, headers, signal }) =>
      this.traced(target, payload, headers, (message) =>
        this.session.streams.upload(message, this.names.formatOf(target), payload as AsyncIterable<unknown>, {
          ...limits,
          signal: signal ?? null,
          onEnd: this.toldOfEnd(target, undefined),
        }),
      ),
    );
  }

  private toldOfEnd(target: Target, onEnd: StreamLimits['onEnd']): StreamLimits['onEnd'] {
    if (!debug.enabled) return onEnd;
    debug('%s: %s "%s" opened', this.contract, target.kind, target.name);
    return (error) => {
      debug('%s: %s "%s" ended: %s', this.contract, target.kind, target.name, error === null ? 'in order' : messageOf(error.reason));
      onEnd?.(error);
    };
  }

  // --- middleware -----------------------------------------------------------------------------------------------

  /** Runs a message of a caller who can wait through the middleware. */
  private async through(
    target: Target,
    payload: unknown,
    headers: MessageHeaders | undefined,
    signal: AbortSignal | null,
    last: (context: ClientMiddlewareContext) => unknown,
  ): Promise<unknown> {
    const context = this.contextOf(target, payload, headers, signal ?? undefined, false);
    return runChain(this.chain, context, () => last(context));
  }

  private contextOf(
    { name, kind }: Target,
    payload: unknown,
    headers: MessageHeaders | undefined,
    signal: AbortSignal | undefined,
    isSync: boolean,
  ): ClientMiddlewareContext {
    return { side: 'client', contract: this.contract, kind, name, payload, headers: mutableHeaders(headers), signal, isSync };
  }

  // --- diagnostic channels --------------------------------------------------------------------------------------

  private traced<R>(target: Target, payload: unknown, headers: MessageHeaders, send: (target: Target) => R): R {
    if (!calls.hasSubscribers) return send(withHeaders(target, encodeHeaders(headers)));
    const message = this.callMessage(target, payload, headers);
    return calls.trace(message, () => send(withHeaders(target, encodeWithAdditions(headers, message.headers))));
  }

  private callMessage({ name, kind }: Target, payload: unknown, headers: MessageHeaders): CallMessage {
    return { contract: this.contract, name, kind, payload, headers: mutableHeaders(headers), isAsync: false };
  }
}

type Closable = ItemReceiver<unknown> | DuplexEnd<unknown, unknown> | UploadWritable<unknown>;
type Open<R> = (message: Target, request: unknown, limits: StreamLimits) => R;

interface Opening<R> {
  readonly target: Target;
  readonly request: unknown;
  readonly limits: StreamLimits;
  readonly callerHeaders: MessageHeaders | undefined;
  readonly verb: string;
  readonly open: Open<R>;
  /** May this be given to the caller? */
  fits(result: unknown): boolean;
}

function isAsyncIterable(result: unknown): boolean {
  return typeof result === 'object' && result !== null && Symbol.asyncIterator in result;
}

function close(opened: Closable | undefined): void {
  if (opened === undefined) return;
  if ('destroy' in opened) opened.destroy();
  else ignore(opened.return());
}

/** A copy for those who may change it. */
function mutableHeaders(headers: MessageHeaders | undefined): Record<string, string> {
  return Object.assign(Object.create(null), headers === undefined ? undefined : ownHeaders(headers));
}

/** What subscribers have added is left out if it makes the headers too large: who watches a message must not make it fail. */
function encodeWithAdditions(headers: MessageHeaders | undefined, withAdditions: MessageHeaders): Uint8Array | null {
  try {
    return encodeHeaders(withAdditions);
  } catch (error) {
    if (!(error instanceof PillionError)) throw error;
    return encodeHeaders(headers);
  }
}
