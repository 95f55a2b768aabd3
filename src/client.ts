import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { debuglog } from 'node:util';
import type { Peer, PeerRules } from './channel/peer.js';
import { resolveSocketPath } from './channel/socket-path.js';
import type { ClaimNames, Contract, Definitions, EventNames, MethodNames, PayloadOf, RequestOf, ResponseOf } from './contract.js';
import { PillionError } from './errors.js';
import {
  addonFor,
  arenaBytesOption,
  configureWaiting,
  DEFAULT_CALL_TIMEOUT_MS,
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  DEFAULT_MAX_MESSAGE_BYTES,
  integerOption,
  invalidArgument,
  LIBRARY_RUNTIME,
  ringBytesOption,
  timeoutOption,
  type WaitPreset,
} from './options.js';
import { resolveCodec } from './protocol/codec.js';
import type { TransportName } from './protocol/handshake.js';
import { MAX_RING_BYTES } from './ring/layout.js';
import type { Claim } from './session/claims.js';
import { CALL_TAG, ClientSession, EVENT_TAG, type Target } from './session/client-session.js';
import { defaultChecksViews } from './session/view-checks.js';
import type { WaitOptions } from './session/waiters.js';
import type { ClientStats } from './stats.js';

const debug = debuglog('pillion');

export interface ConnectOptions extends PeerRules {
  /** The sidecar's socket. Default: `PILLION_SOCKET`, else `<runtime dir>/pillion/<contract>.sock`. */
  path?: string;
  /** `auto` (default): shared memory where possible. `socket`: always the socket. */
  transport?: 'auto' | 'socket';
  /** Sizes of the two rings, powers of two; 256 KiB each by default. `toServer` bounds how much is buffered while no sidecar is there. */
  ringBytes?: { toServer?: number; toClient?: number };
  /** Memory for claims, a multiple of 4,096 and at most the sidecar's `maxArenaBytes`; 0 by default: claims work, and are copied once when they are committed. */
  arenaBytes?: number;
  /**
   * Claims get a view of their own, which becomes unusable when the claim is over, and whose bytes are copied into the arena on commit. Finds writes that come too late,
   * and costs what claiming saves. Default: unless NODE_ENV is "production".
   */
  checkViews?: boolean;
  /** The largest message in either direction; 16 MiB by default. */
  maxMessageBytes?: number;
  /** How long `call` and `callSync` wait if they are not told; 5,000 ms by default. */
  callTimeoutMs?: number;
  /** How long a sidecar that accepted may take to answer the handshake; 5,000 ms by default. */
  handshakeTimeoutMs?: number;
  /** How this thread waits for messages; applies to all connections of the thread. */
  wait?: WaitPreset;
}

export interface CallOptions {
  /** In ms; Infinity for no limit. Default: `callTimeoutMs`. */
  timeout?: number;
  /** Aborts the call, and the handler's signal; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface ClientStatus {
  readonly state: 'connecting' | 'connected' | 'closed';
  readonly path: string;
  /** While connected: what the frames travel over. */
  readonly transport: TransportName | undefined;
  /** Why it is the socket, if shared memory was wanted. */
  readonly fallbackReason: string | undefined;
  /** While connected: the sidecar's process. */
  readonly peer: Peer | undefined;
  /** Why there is no connection, if the last attempt failed or the last connection broke. */
  readonly lastError: Error | null;
}

export interface ClientEvents {
  connect: [];
  /** The sidecar is gone; `reason` is null unless it broke the protocol. */
  disconnect: [reason: Error | null];
  /** A connection runs over the socket though shared memory was wanted. */
  fallback: [reason: string];
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
  private readonly events = new Map<string, Target>();
  private readonly methods = new Map<string, Target>();
  private readonly path: string;
  private readonly callTimeoutMs: number;
  private readonly contractName: string;
  private readonly ringBytes: number;
  private readonly arenaBytes: number;
  private closing: Promise<void> | null = null;

  /** Use `connect`. */
  constructor(contract: Contract<D>, options: ConnectOptions) {
    super();
    if (typeof contract?.name !== 'string' || typeof contract.definitions !== 'object')
      throw invalidArgument('connect needs a contract made by contract()');
    this.contractName = contract.name;
    this.path = resolveSocketPath(options.path, contract.name);
    this.callTimeoutMs = timeoutOption('callTimeoutMs', options.callTimeoutMs, DEFAULT_CALL_TIMEOUT_MS);
    const { addon, reason } = addonFor(options.transport);
    const { maySpin } = configureWaiting(addon, options.wait, undefined);
    const isSocketWanted = options.transport === 'socket';
    const ringBytes = [
      ringBytesOption('ringBytes.toServer', options.ringBytes?.toServer),
      ringBytesOption('ringBytes.toClient', options.ringBytes?.toClient),
    ] as const;
    this.ringBytes = ringBytes[0];
    this.arenaBytes = arenaBytesOption(options.arenaBytes);
    const maxMessageBytes = integerOption('maxMessageBytes', options.maxMessageBytes, DEFAULT_MAX_MESSAGE_BYTES, 1, MAX_RING_BYTES);
    this.session = new ClientSession(
      {
        path: this.path,
        addon,
        isSocketWanted,
        noShmReason: reason,
        maySpin,
        ringBytes,
        arenaBytes: this.arenaBytes,
        checksViews: options.checkViews ?? defaultChecksViews(),
        maxMessageBytes,
        handshakeTimeoutMs: integerOption('handshakeTimeoutMs', options.handshakeTimeoutMs, DEFAULT_HANDSHAKE_TIMEOUT_MS, 1, 3_600_000),
        ...(options.allow === undefined ? {} : { allow: options.allow }),
        ...(options.authorize === undefined ? {} : { authorize: options.authorize }),
        hello: {
          contract: contract.name,
          clientId: randomUUID(),
          names: this.defineTargets(contract),
          ringBytes: [ringBytes[0], ringBytes[1]],
          arenaBytes: this.arenaBytes,
          maxMessageBytes,
          features: [],
          pid: process.pid,
          runtime: LIBRARY_RUNTIME,
        },
      },
      {
        onConnect: () => {
          debug('%s: connected to %s', contract.name, this.path);
          this.emitLater('connect');
        },
        onDisconnect: (error) => {
          debug('%s: disconnected from %s: %s', contract.name, this.path, error?.message ?? 'the peer hung up');
          this.emitLater('disconnect', error);
        },
        onFallback: (why) => this.warnOfFallback(why),
      },
    );
  }

  private defineTargets(contract: Contract<D>): { name: string; kind: 'event' | 'method'; codec: string }[] {
    return Object.entries(contract.definitions).map(([name, definition], index) => {
      const codec = resolveCodec(definition.codec);
      const tag = (definition.kind === 'event' ? EVENT_TAG : CALL_TAG) | (index << 16);
      const target: Target = { name, tag, codec, isIdempotent: definition.kind === 'method' && definition.idempotent };
      (definition.kind === 'event' ? this.events : this.methods).set(name, target);
      return { name, kind: definition.kind, codec: codec.name };
    });
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

  private unknown(name: string, kind: string): PillionError {
    const known = [...(kind === 'event' ? this.events : this.methods).keys()];
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
    ...payload: undefined extends PayloadOf<D, N> ? [payload?: PayloadOf<D, N>] : [payload: PayloadOf<D, N>]
  ): boolean {
    const target = this.events.get(name);
    if (target === undefined) throw this.unknown(name, 'event');
    return this.session.sendEvent(target, payload[0]);
  }

  /**
   * Memory for an event of codec `raw`, in which it is written where the sidecar will read it: fill `view`, then `commit`. Null: there is no room now, or the client is
   * closed. A claim that is neither committed nor aborted holds its memory until it is garbage, and is reported then.
   *
   * @throws PillionError ERR_PILLION_UNKNOWN_NAME, _INVALID_ARGUMENT, or _TOO_LARGE if it could never fit.
   */
  claim<N extends ClaimNames<D>>(name: N, bytes: number): Claim | null {
    const target = this.events.get(name);
    if (target === undefined) throw this.unknown(name, 'event');
    if (target.codec.name !== 'raw')
      throw invalidArgument(`"${name}" has codec "${target.codec.name}": only events of codec "raw" can be claimed`);
    return this.session.claim(target, bytes, this.claim);
  }

  /**
   * Asks the sidecar something. While no sidecar is there, the call waits for one within its timeout.
   *
   * @returns rejects with RemoteError (the handler failed), or PillionError: ERR_PILLION_TIMEOUT, _PEER_DIED, _CLOSED, _UNKNOWN_NAME, _ENCODE, _DECODE, _TOO_LARGE.
   */
  call<N extends MethodNames<D>>(
    name: N,
    ...args: undefined extends RequestOf<D, N>
      ? [request?: RequestOf<D, N>, options?: CallOptions]
      : [request: RequestOf<D, N>, options?: CallOptions]
  ): Promise<ResponseOf<D, N>> {
    const target = this.methods.get(name);
    if (target === undefined) return Promise.reject(this.unknown(name, 'method'));
    const options = args[1];
    if (options === undefined) return this.session.call(target, args[0], this.callTimeoutMs, null) as Promise<ResponseOf<D, N>>;
    try {
      const timeoutMs = timeoutOption('timeout', options.timeout, this.callTimeoutMs);
      return this.session.call(target, args[0], timeoutMs, options.signal ?? null) as Promise<ResponseOf<D, N>>;
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
    ...args: undefined extends RequestOf<D, N>
      ? [request?: RequestOf<D, N>, options?: Pick<CallOptions, 'timeout'>]
      : [request: RequestOf<D, N>, options?: Pick<CallOptions, 'timeout'>]
  ): ResponseOf<D, N> {
    const target = this.methods.get(name);
    if (target === undefined) throw this.unknown(name, 'method');
    const timeoutMs = timeoutOption('timeout', args[1]?.timeout, this.callTimeoutMs);
    return this.session.callSync(target, args[0], timeoutMs) as ResponseOf<D, N>;
  }

  /** Resolves when a sidecar is connected. Rejects with ERR_PILLION_TIMEOUT, the signal's reason, or ERR_PILLION_CLOSED. Without a timeout it waits for ever. */
  ready(options: CallOptions = {}): Promise<void> {
    return this.wait('no sidecar connected', options, (wait) => this.session.ready(wait));
  }

  /** Resolves when every event accepted before has been handled and every call taken. Rejects as `ready`. */
  flush(options: CallOptions = {}): Promise<void> {
    return this.wait('not everything was handled', options, (wait) => this.session.flush(wait));
  }

  private async wait(what: string, { timeout, signal }: CallOptions, begin: (options: WaitOptions) => Promise<void>): Promise<void> {
    const timeoutMs = timeoutOption('timeout', timeout, Number.POSITIVE_INFINITY);
    await begin({ timeoutMs, signal: signal ?? null, what, cause: () => this.session.lastError });
  }

  /**
   * Ends the client: calls in flight reject with ERR_PILLION_CLOSED; accepted events stay in the ring and are drained by the sidecar, if one is connected. For certainty
   * `await flush()` first. Safe to call twice.
   */
  close(): Promise<void> {
    this.closing ??= Promise.resolve().then(() => this.session.close());
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
      path: this.path,
      transport: connection?.channel.transport,
      fallbackReason: connection?.fallbackReason,
      peer: connection?.peer,
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
      bufferedBytes: session.bufferedBytes,
      ringBytes: this.ringBytes,
      claimsOpen: session.claims.openCount,
      claimsLeaked: session.claims.leakedCount,
      arenaUsedBytes: session.arenaUsedBytes,
      arenaBytes: this.arenaBytes,
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
