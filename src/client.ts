import { EventEmitter } from 'node:events';
import type { Peer } from './channel/peer.js';
import { type ClientNames, defineNames } from './client-names.js';
import { type ClientSettings, type ConnectOptions, checkConnectOptions } from './connect-options.js';
import type {
  ClaimNames,
  Contract,
  Definitions,
  EventNames,
  MethodNames,
  NamesOf,
  OutputOf,
  PayloadOf,
  ResponseOf,
  SentInputOf,
  SentPayloadOf,
  SentRequestOf,
  ValueOf,
} from './contract.js';
import type { LabelArguments, MetricNames } from './counters/definitions.js';
import type { Counter, Gauge, Histogram } from './counters/handles.js';
import type { CounterStatus, CounterTable } from './counters/table.js';
import { type ConnectionMessage, calls, connects, debug, disconnects, sends } from './diagnostics.js';
import { PillionError } from './errors.js';
import { middlewareOption } from './middleware.js';
import { integerOption, invalidArgument, timeoutOption } from './options.js';
import { Outgoing } from './outgoing.js';
import type { TransportName } from './protocol/handshake.js';
import type { MessageHeaders } from './protocol/headers.js';
import { MAX_RING_BYTES } from './ring/layout.js';
import type { Claim } from './session/claims.js';
import type { BroadcastInfo, ClientState } from './session/client-pushes.js';
import { ClientSession } from './session/client-session.js';
import type { StreamLimits } from './session/client-streams.js';
import type { DuplexEnd } from './session/duplex-end.js';
import type { ItemReceiver } from './session/item-receiver.js';
import type { Target } from './session/target.js';
import type { WaitOptions } from './session/waiters.js';
import type { ClientStats } from './stats.js';
import { DuplexSocket, type DuplexSocketOptions } from './streams/duplex.js';
import { isSource } from './streams/source.js';
import type { UploadWritable } from './streams/upload-writable.js';

/** How long to wait. */
export interface TimeoutOptions {
  /** In ms; Infinity for no limit. */
  timeout?: number;
  /** Ends the waiting; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface MessageOptions {
  /** What the handler gets besides the payload, as `context.headers`: strings by name, at most 8,192 bytes as JSON. */
  headers?: MessageHeaders;
}

export interface CallOptions extends MessageOptions {
  /** In ms; Infinity for no limit. Default: `callTimeoutMs`. */
  timeout?: number;
  /** Aborts the call, and the handler's signal; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface StreamCallOptions extends CallOptions {
  /** Bytes of items that may be on their way or unread; the client's `windowBytes` by default. */
  windowBytes?: number;
}

export interface DuplexCallOptions extends StreamCallOptions, DuplexSocketOptions {}

export interface ClientStatus {
  readonly state: 'connecting' | 'connected' | 'closed';
  readonly path: string;
  /** While connected: what the frames travel over. */
  readonly transport: TransportName | undefined;
  /** Why it is the socket, if shared memory was wanted. */
  readonly fallbackReason: string | undefined;
  /** While connected: the sidecar's process. */
  readonly peer: Peer | undefined;
  /** Undefined if the contract has no counters. */
  readonly counters: CounterStatus | undefined;
  /** Why there is no connection, if the last attempt failed or the last connection broke. */
  readonly lastError: Error | null;
}

export interface ClientEvents {
  connect: [];
  /** The sidecar is gone; `reason` is null unless it broke the protocol. */
  disconnect: [reason: Error | null];
  /** A connection runs over the socket though shared memory was wanted. */
  fallback: [reason: string];
  /** The ring is below its high-water mark again: events that were refused would be accepted now. */
  drain: [];
}

// Processes that make many clients need not be told more than once.
const warnedReasons = new Set<string>();

/**
 * The app's end. Made by `connect`.
 *
 * Messages are handed to the sidecar in the order in which they were accepted, whether or not it was there at the time; a message longer than a quarter of the
 * ring counts as accepted when its last fragment is in the ring. No method waits for the sidecar
 * unless it says so, and an idle client keeps no process alive.
 */
export class Client<D extends Definitions> extends EventEmitter<ClientEvents> {
  private readonly session: ClientSession;
  private readonly names: ClientNames;
  private readonly settings: ClientSettings;
  private readonly contractName: string;
  private readonly counters: CounterTable | null;
  private readonly outgoing: Outgoing;
  private readonly hasMiddleware: boolean;
  private closing: Promise<void> | null = null;

  /** Use `connect`. */
  constructor(contract: Contract<D>, options: ConnectOptions) {
    super();
    if (typeof contract?.name !== 'string' || typeof contract.definitions !== 'object')
      throw invalidArgument('connect needs a contract made by contract()');
    this.contractName = contract.name;
    const middleware = middlewareOption(options.use);
    const settings = checkConnectOptions(contract, options);
    this.settings = settings;
    this.counters = settings.counters;
    this.names = defineNames(contract, settings.maxMessageBytes);
    this.session = new ClientSession(
      { ...settings.session, hello: { ...settings.session.hello, names: this.names.table } },
      {
        onConnect: () => {
          debug('%s: connected to %s', contract.name, settings.path);
          if (connects.hasSubscribers) connects.publish(this.connectionMessage(this.status().fallbackReason ?? null));
          this.emitLater('connect');
        },
        onDisconnect: (error) => {
          debug('%s: disconnected from %s: %s', contract.name, settings.path, error?.message ?? 'the peer hung up');
          if (disconnects.hasSubscribers) disconnects.publish(this.connectionMessage(error));
          this.emitLater('disconnect', error);
        },
        onFallback: (why) => this.warnOfFallback(why),
        onDrain: () => this.emitLater('drain'),
      },
    );
    for (const [index, format] of this.names.pushes) this.session.pushes.define(index, format);
    this.hasMiddleware = middleware !== null;
    this.outgoing = new Outgoing(this.session, this.names, contract.name, middleware);
  }

  private connectionMessage(reason: Error | string | null): ConnectionMessage {
    const { peer, transport, path } = this.status();
    return { side: 'client', contract: this.contractName, path, clientId: this.settings.session.hello.clientId, peer, transport, reason };
  }

  private warnOfFallback(reason: string): void {
    debug('%s: over the socket: %s', this.contractName, reason);
    if (!warnedReasons.has(reason)) {
      warnedReasons.add(reason);
      process.emitWarning(`messages travel over the Unix socket in place of shared memory: ${reason}`, {
        type: 'PillionWarning',
        code: 'PILLION_FALLBACK',
      });
    }
    this.emitLater('fallback', reason);
  }

  // A listener that throws is an uncaught exception of the user's, and must not end what we are in the middle of.
  private emitLater<E extends keyof ClientEvents>(event: E, ...args: ClientEvents[E]): void {
    queueMicrotask(() => (this as EventEmitter).emit(event, ...args));
  }

  /** The target of a name, or an error that lists what there is. */
  private target(name: string, kind: Target['kind']): Target {
    const target = this.names.targets.get(name);
    if (target === undefined || target.kind !== kind) throw this.unknown(name, kind);
    return target;
  }

  private unknown(name: string, kind: string): PillionError {
    const known = this.names.table.filter((entry) => entry.kind === kind).map((entry) => entry.name);
    return new PillionError(
      'ERR_PILLION_UNKNOWN_NAME',
      `contract "${this.contractName}" has no ${kind} "${name}"; it has ${known.length > 0 ? known.join(', ') : 'none'}`,
    );
  }

  /**
   * Tells the sidecar something. True: accepted, i.e. in the ring, where it outlives a crash of either process (over the socket: of the sidecar). False: dropped and counted,
   * because the ring is full or the client is closed. Delivered at least once, in order.
   *
   * @throws PillionError ERR_PILLION_UNKNOWN_NAME, _ENCODE or _TOO_LARGE: the call itself is wrong.
   */
  send<N extends EventNames<D>>(
    name: N,
    ...args: undefined extends SentPayloadOf<D, N>
      ? [payload?: SentPayloadOf<D, N>, options?: MessageOptions]
      : [payload: SentPayloadOf<D, N>, options?: MessageOptions]
  ): boolean {
    const target = this.names.targets.get(name);
    if (target === undefined || target.kind !== 'event') throw this.unknown(name, 'event');
    const options = args[1];
    if (options === undefined && !this.hasMiddleware && !sends.hasSubscribers) return this.session.events.send(target, args[0]);
    return this.outgoing.send(target, args[0], options?.headers);
  }

  /**
   * The same, but waits in place of dropping: resolves when the event was accepted. Those who wait get their turn in order; `send` does not wait for them.
   *
   * @returns rejects as `ready`, and as `send` throws.
   */
  async sendWhenFree<N extends EventNames<D>>(
    name: N,
    ...args: undefined extends SentPayloadOf<D, N>
      ? [payload?: SentPayloadOf<D, N>, options?: CallOptions]
      : [payload: SentPayloadOf<D, N>, options?: CallOptions]
  ): Promise<void> {
    const [payload, options = {}] = args;
    const target = this.target(name, 'event');
    await this.wait(`there was no room for event "${name}"`, options, (wait) =>
      this.outgoing.sendWhenFree(target, payload, options.headers, wait),
    );
  }

  /**
   * Runs `send`, which may send and call, and makes all that it writes visible to the sidecar at once: one store and one look at the sidecar serve all. Until it returns, nothing of it
   * outlives a crash of this process. Returns what `send` returns. What an asynchronous function does after its first `await` is no part of the batch. A ring that gets full, and
   * `callSync`, publish what there is.
   */
  batch<R>(send: () => R): R {
    return this.session.batch(send);
  }

  /** Bytes in the ring that the sidecar has not released. */
  get bufferedBytes(): number {
    return this.session.bufferedBytes;
  }

  /** Was an event refused, or the high-water mark passed, since the last `drain`? */
  get needsDrain(): boolean {
    return this.session.events.needsDrain;
  }

  /**
   * Memory for an event of codec `raw`, in which it is written where the sidecar will read it: fill `view`, then `commit`. Null: there is no room now, or the client is
   * closed. A claim that is neither committed nor aborted holds its memory until it is garbage, and is reported then.
   *
   * @throws PillionError ERR_PILLION_UNKNOWN_NAME, _INVALID_ARGUMENT, or _TOO_LARGE if it could never fit.
   */
  claim<N extends ClaimNames<D>>(name: N, bytes: number): Claim | null {
    const target = this.target(name, 'event');
    if (target.codec.name !== 'raw')
      throw invalidArgument(`"${name}" has codec "${target.codec.name}": only events of codec "raw" can be claimed`);
    return this.session.claims.claim(target, bytes, this.claim);
  }

  /**
   * Asks the sidecar something. While no sidecar is there, the call waits for one within its timeout.
   *
   * @returns rejects with RemoteError (the handler failed), or PillionError: ERR_PILLION_TIMEOUT, _PEER_DIED, _CLOSED, _UNKNOWN_NAME, _ENCODE, _DECODE, _TOO_LARGE.
   */
  call<N extends MethodNames<D>>(
    name: N,
    ...args: undefined extends SentRequestOf<D, N>
      ? [request?: SentRequestOf<D, N>, options?: CallOptions]
      : [request: SentRequestOf<D, N>, options?: CallOptions]
  ): Promise<ResponseOf<D, N>> {
    const target = this.names.targets.get(name);
    if (target === undefined || target.kind !== 'method') return Promise.reject(this.unknown(name, 'method'));
    const options = args[1];
    if (options === undefined && !this.hasMiddleware && !calls.hasSubscribers)
      return this.session.call(target, args[0], this.settings.callTimeoutMs, null) as Promise<ResponseOf<D, N>>;
    try {
      const timeoutMs = timeoutOption('timeout', options?.timeout, this.settings.callTimeoutMs);
      const signal = options?.signal ?? null;
      if (options?.headers === undefined && !this.hasMiddleware && !calls.hasSubscribers)
        return this.session.call(target, args[0], timeoutMs, signal) as Promise<ResponseOf<D, N>>;
      return this.outgoing.call(target, args[0], timeoutMs, signal, options?.headers) as Promise<ResponseOf<D, N>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Asks the sidecar something and blocks this thread until the answer is here: a microsecond while the sidecar is awake, two wake-ups otherwise. Needs
   * a connection (`await ready()`), because a blocked thread cannot make one.
   *
   * @throws as `call` rejects, and ERR_PILLION_NOT_CONNECTED.
   */
  callSync<N extends MethodNames<D>>(
    name: N,
    ...args: undefined extends SentRequestOf<D, N>
      ? [request?: SentRequestOf<D, N>, options?: Omit<CallOptions, 'signal'>]
      : [request: SentRequestOf<D, N>, options?: Omit<CallOptions, 'signal'>]
  ): ResponseOf<D, N> {
    const target = this.target(name, 'method');
    const timeoutMs = timeoutOption('timeout', args[1]?.timeout, this.settings.callTimeoutMs);
    const headers = args[1]?.headers;
    if (headers === undefined && !this.hasMiddleware && !calls.hasSubscribers)
      return this.session.callSync(target, args[0], timeoutMs) as ResponseOf<D, N>;
    return this.outgoing.callSync(target, args[0], timeoutMs, headers) as ResponseOf<D, N>;
  }

  /**
   * Asks for many items. They come as fast as they are read, and no faster; leaving the loop, or aborting the signal, stops the sidecar at once. While no sidecar is
   * there the stream waits for one; when the sidecar dies it throws, after the items that had arrived. Read once: with `for await`, or as the Node stream that `toReadable()` makes of it;
   * `Readable.from` and `ReadableStream.from` take it as well.
   *
   * @throws in the loop: RemoteError (the handler failed), or PillionError: ERR_PILLION_TIMEOUT, _PEER_DIED, _CLOSED, _UNKNOWN_NAME, _DECODE, _TOO_LARGE.
   */
  stream<N extends NamesOf<D, 'stream'>>(
    name: N,
    ...args: undefined extends SentRequestOf<D, N>
      ? [request?: SentRequestOf<D, N>, options?: StreamCallOptions]
      : [request: SentRequestOf<D, N>, options?: StreamCallOptions]
  ): ItemReceiver<OutputOf<D, N>> {
    const target = this.target(name, 'stream');
    const items = this.outgoing.stream(target, args[0], this.limits(args[1]), args[1]?.headers);
    return items as ItemReceiver<OutputOf<D, N>>;
  }

  /**
   * Sends everything that `source` yields, as fast as the sidecar reads it, and resolves with the handler's answer. A source is an iterable of any kind, a Node `Readable` or a web
   * `ReadableStream`. It is told to stop (`return`, `destroy` or `cancel`) when the sidecar reads no more, the signal aborts or the connection ends; if it throws, the handler is told.
   *
   * @returns rejects as `call`, and with what the source throws.
   */
  async upload<N extends NamesOf<D, 'upload'>>(
    name: N,
    source: Iterable<SentInputOf<D, N>> | AsyncIterable<SentInputOf<D, N>>,
    options?: CallOptions,
  ): Promise<ResponseOf<D, N>> {
    const target = this.target(name, 'upload');
    if (!isSource(source)) throw invalidArgument(`upload "${name}" needs an iterable or a stream`);
    const result = await this.outgoing.upload(target, source, this.limits(options), options?.headers);
    return result as ResponseOf<D, N>;
  }

  /**
   * The same for those who write: a Node `Writable` whose `result` is the handler's answer.
   *
   * @throws PillionError ERR_PILLION_UNKNOWN_NAME or _CLOSED, or the reason of a signal that has aborted already.
   */
  uploadWritable<N extends NamesOf<D, 'upload'>>(name: N, options?: CallOptions): UploadWritable<ResponseOf<D, N>> {
    const writable = this.outgoing.uploadWritable(this.target(name, 'upload'), this.limits(options), options?.headers);
    return writable as UploadWritable<ResponseOf<D, N>>;
  }

  /**
   * Opens a stream in both directions as a Node `Duplex`, of bytes if the codec is `raw`, of objects otherwise. One of bytes serves `node:http`, `node:http2` and undici as the socket of a
   * connection. Usable at once: what is written while no sidecar is there waits for one, within its buffer. Whatever goes wrong is its `error` event; one that is not wanted any more must be
   * destroyed.
   *
   * @throws PillionError ERR_PILLION_UNKNOWN_NAME or _INVALID_ARGUMENT: the call itself is wrong.
   */
  duplex<N extends NamesOf<D, 'duplex'>>(name: N, options: DuplexCallOptions = {}): DuplexSocket {
    const target = this.target(name, 'duplex');
    const limits = this.limits(options);
    try {
      return this.outgoing.duplex(target, limits, options.headers).toDuplex(options);
    } catch (error) {
      return DuplexSocket.failed(target.codec.name === 'raw', error);
    }
  }

  /** The same item by item: to be read with `for await`, and written with `write` and `end`. Either side may end its own direction first. */
  duplexItems<N extends NamesOf<D, 'duplex'>>(name: N, options?: StreamCallOptions): DuplexEnd<OutputOf<D, N>, SentInputOf<D, N>> {
    const target = this.target(name, 'duplex');
    const end = this.outgoing.duplex(target, this.limits(options), options?.headers);
    return end as DuplexEnd<OutputOf<D, N>, SentInputOf<D, N>>;
  }

  private limits(options: StreamCallOptions = {}): StreamLimits {
    return {
      timeoutMs: timeoutOption('timeout', options.timeout, Number.POSITIVE_INFINITY),
      signal: options.signal ?? null,
      windowBytes: integerOption('windowBytes', options.windowBytes, this.settings.windowBytes, 1, MAX_RING_BYTES),
    };
  }

  /** The value that the sidecar has set under this name, kept up to date in this process; the same object each time. */
  state<N extends NamesOf<D, 'state'>>(name: N): ClientState<ValueOf<D, N>> {
    const state = this.session.pushes.state(name);
    if (state === undefined) throw this.unknown(name, 'state');
    return state as ClientState<ValueOf<D, N>>;
  }

  /** Calls `listener` for each broadcast of this name from now on. Returns a function that ends this; aborting the signal does as well. */
  subscribe<N extends NamesOf<D, 'broadcast'>>(
    name: N,
    listener: (payload: PayloadOf<D, N>, info: BroadcastInfo) => void,
    { signal }: { signal?: AbortSignal } = {},
  ): () => void {
    const listeners = this.session.pushes.listenersOf(name);
    if (listeners === undefined) throw this.unknown(name, 'broadcast');
    if (typeof listener !== 'function') throw invalidArgument(`subscribe "${name}" needs a listener`);
    // The same function may be subscribed twice.
    const own = (payload: unknown, info: BroadcastInfo): void => listener(payload as PayloadOf<D, N>, info);
    const end = (): void => {
      listeners.delete(own);
      signal?.removeEventListener('abort', end);
    };
    if (signal?.aborted) return end;
    listeners.add(own);
    signal?.addEventListener('abort', end);
    return end;
  }

  /**
   * A number that only grows, in memory that the sidecar reads whenever it wants. The same name and labels give the same handle; keep it where every
   * nanosecond counts.
   *
   * @throws PillionError ERR_PILLION_UNKNOWN_NAME, _INVALID_ARGUMENT (wrong labels), or _COUNTERS_FULL: no room for another set of labels.
   */
  counter<N extends MetricNames<D, 'counter'>>(name: N, ...labels: LabelArguments<D, N>): Counter {
    return this.metrics('counter', name).counter(name, labels[0]);
  }

  /** A number that goes up and down. Otherwise as `counter`. */
  gauge<N extends MetricNames<D, 'gauge'>>(name: N, ...labels: LabelArguments<D, N>): Gauge {
    return this.metrics('gauge', name).gauge(name, labels[0]);
  }

  /** A distribution over the buckets of its definition. Otherwise as `counter`. */
  histogram<N extends MetricNames<D, 'histogram'>>(name: N, ...labels: LabelArguments<D, N>): Histogram {
    return this.metrics('histogram', name).histogram(name, labels[0]);
  }

  private metrics(kind: string, name: string): CounterTable {
    if (this.counters === null) throw this.unknown(name, kind);
    return this.counters;
  }

  /** Resolves when a sidecar is connected. Rejects with ERR_PILLION_TIMEOUT, the signal's reason, or ERR_PILLION_CLOSED. Without a timeout it waits for ever. */
  ready(options: TimeoutOptions = {}): Promise<void> {
    return this.wait('no sidecar connected', options, (wait) => this.session.ready(wait));
  }

  /** Resolves when every event accepted before has been handled and every call taken. Rejects as `ready`. */
  flush(options: TimeoutOptions = {}): Promise<void> {
    return this.wait('not everything was handled', options, (wait) => this.session.flush(wait));
  }

  private async wait(what: string, { timeout, signal }: TimeoutOptions, begin: (options: WaitOptions) => Promise<void>): Promise<void> {
    const timeoutMs = timeoutOption('timeout', timeout, Number.POSITIVE_INFINITY);
    await begin({ timeoutMs, signal: signal ?? null, what, cause: () => this.session.lastError });
  }

  /**
   * Ends the client: calls in flight reject with ERR_PILLION_CLOSED; accepted events stay in the ring and are drained by the sidecar, if one is connected. For certainty
   * `await flush()` first. Safe to call twice.
   */
  close(): Promise<void> {
    this.closing ??= Promise.resolve().then(() => {
      this.session.close();
      this.counters?.close();
    });
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Where this client stands. A snapshot. */
  status(): ClientStatus {
    const { connection, isClosed, lastError } = this.session;
    return {
      state: isClosed ? 'closed' : connection !== null ? 'connected' : 'connecting',
      path: this.settings.path,
      transport: connection?.channel.transport,
      fallbackReason: connection?.fallbackReason,
      peer: connection?.peer,
      counters: this.counters?.status(connection?.noCountersReason),
      lastError,
    };
  }

  /** What this client has done. A snapshot. */
  stats(): ClientStats {
    const { session } = this;
    return {
      ...session.counters,
      doorbells: session.doorbells,
      callsPending: session.pendingCount,
      streamsOpen: session.streams.size,
      broadcastsReceived: session.pushes.broadcastsReceived,
      broadcastsFailed: session.pushes.broadcastsFailed,
      statesReceived: session.pushes.statesReceived,
      bufferedBytes: session.bufferedBytes,
      ringBytes: this.settings.ringBytes,
      claimsOpen: session.claims.openCount,
      claimsLeaked: session.claims.leakedCount,
      arenaUsedBytes: session.arenaUsedBytes,
      arenaBytes: this.settings.session.arenaBytes,
    };
  }
}

/**
 * Begins a conversation with the sidecar at the contract's path and returns at once, whether or not there is one. The client connects, and reconnects,
 * in the background.
 *
 * @throws PillionError ERR_PILLION_INVALID_ARGUMENT or _SOCKET_PATH for options that can never work.
 */
export function connect<D extends Definitions>(contract: Contract<D>, options: ConnectOptions = {}): Client<D> {
  return new Client(contract, options);
}
