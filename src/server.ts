import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel } from './channel/channel.js';
import type { HandshakeStream, NativeHandshakeStream } from './channel/handshake-stream.js';
import { Listener } from './channel/listener.js';
import { ArenaLoans, noLoans } from './channel/loans.js';
import type { Peer } from './channel/peer.js';
import { ShmChannel } from './channel/shm.js';
import { SocketChannel } from './channel/socket.js';
import { resolveSocketPath } from './channel/socket-path.js';
import { type Predecessor, requestTakeover } from './channel/takeover.js';
import { type WelcomedClient, welcome } from './channel/welcome.js';
import {
  type BroadcastDefinition,
  type Contract,
  type Definitions,
  type InputOf,
  type MessageDefinition,
  messagesOf,
  type NamesOf,
  type PayloadOf,
  type RequestOf,
  type SentOutputOf,
  type SentPayloadOf,
  type SentResponseOf,
  type SentValueOf,
} from './contract.js';
import type { MetricDefinition } from './counters/definitions.js';
import { ServerCounters } from './counters/server-counters.js';
import type { ClientCounters } from './counters/snapshot.js';
import { connects, debug, disconnects } from './diagnostics.js';
import { messageOf, PillionError } from './errors.js';
import { throughMiddleware } from './middleware.js';
import type { NativeAddon, NativeSegment } from './native.js';
import { invalidArgument, LIBRARY_RUNTIME, timeoutOption } from './options.js';
import { builtInCodec, type PayloadCodec, resolveCodec } from './protocol/codec.js';
import type { Hello } from './protocol/handshake.js';
import { encodeHeaders, type MessageHeaders } from './protocol/headers.js';
import type { NameEntry } from './protocol/names.js';
import { arenaOfSegment, privateRing, ringsOfSegment } from './ring/memory.js';
import { RingProducer } from './ring/producer.js';
import { checkServeOptions, type ServeOptions, type ServerSettings } from './serve-options.js';
import { ServerState } from './server-state.js';
import type { EventContext } from './session/borrow.js';
import type { DuplexEnd } from './session/duplex-end.js';
import type { HandlerContext } from './session/handler-context.js';
import type { ItemReceiver } from './session/item-receiver.js';
import { type PushTarget, SharedMessage } from './session/push-writer.js';
import type { Handler, Route } from './session/route.js';
import { ServerSession } from './session/server-session.js';
import { newServerCounters, type ServerStats } from './stats.js';
import { checkedDecoding, checkOf } from './validation.js';

/** Between two looks at a lock whose holder may be about to die. */
const LOCK_RETRY_MS = 10;

/** What the sidecar does for each name of the contract that an app may use. */
export type Handlers<D extends Definitions> = {
  [N in keyof D as D[N]['kind'] extends 'state' | 'broadcast' | MetricDefinition['kind'] ? never : N]: D[N]['kind'] extends 'event'
    ? (payload: PayloadOf<D, N>, context: EventContext) => void | Promise<void>
    : D[N]['kind'] extends 'method'
      ? (request: RequestOf<D, N>, context: HandlerContext) => SentResponseOf<D, N> | Promise<SentResponseOf<D, N>>
      : D[N]['kind'] extends 'stream'
        ? (request: RequestOf<D, N>, context: HandlerContext) => Items<SentOutputOf<D, N>> | Promise<Items<SentOutputOf<D, N>>>
        : D[N]['kind'] extends 'upload'
          ? (items: ItemReceiver<InputOf<D, N>>, context: HandlerContext) => SentResponseOf<D, N> | Promise<SentResponseOf<D, N>>
          : D[N]['kind'] extends 'duplex'
            ? (
                stream: DuplexEnd<InputOf<D, N>, SentOutputOf<D, N>>,
                context: HandlerContext,
                // biome-ignore lint/suspicious/noConfusingVoidType: handlers that write by hand return nothing
              ) => Items<SentOutputOf<D, N>> | void | Promise<Items<SentOutputOf<D, N>> | void>
            : never;
};

/** What a handler of a stream returns: an async generator, usually. */
type Items<T> = Iterable<T> | AsyncIterable<T>;

export interface ConnectedClient {
  readonly clientId: string;
  readonly peer: Peer;
  readonly transport: 'shm' | 'socket';
}

/** Whom a broadcast is for: everybody by default, those that a predicate picks, or the connections of one client object. */
export type Audience = ((client: ConnectedClient) => boolean) | string;

export interface BroadcastSendOptions {
  /** Everybody who is connected, by default. */
  to?: Audience;
  /** What listeners get besides the payload. */
  headers?: MessageHeaders;
}

export interface ServerEvents {
  connect: [client: ConnectedClient];
  /** All that the client had published was handled; `counters` are its last. `error` is null unless it broke the protocol, or did not read fast enough for a broadcast. */
  disconnect: [client: ConnectedClient & { readonly counters: ClientCounters }, error: Error | null];
  /** A handler threw or rejected. Without a listener: NODE_DEBUG=pillion shows it. */
  handlerError: [error: unknown, name: string, context: HandlerContext];
  /** A connection was refused, or no connection could be accepted. */
  refused: [error: Error];
  /** A successor has taken the path over; this server is leaving. */
  takenOver: [];
}

/** The sidecar's end. Made by `serve`. Keeps the process alive until it is closed or unreferenced. */
export class Server<D extends Definitions> extends EventEmitter<ServerEvents> {
  /** Where it listens. */
  readonly path: string;
  private readonly contract: Contract<D>;
  private readonly handlers: Handlers<D>;
  private readonly settings: ServerSettings;
  private readonly totals = newServerCounters();
  private readonly clientCounters: ServerCounters;
  private readonly messages: ReadonlyMap<string, MessageDefinition>;
  private readonly sessions = new Map<ServerSession, ConnectedClient>();
  private readonly states = new Map<string, ServerState<unknown>>();
  private readonly handshakes = new Set<HandshakeStream>();
  private readonly serverId = randomUUID();
  private listener: Listener | null = null;
  private closing: Promise<void> | null = null;

  /** Use `serve`. */
  constructor(contract: Contract<D>, handlers: Handlers<D>, options: ServeOptions) {
    super();
    if (typeof contract?.name !== 'string' || typeof contract.definitions !== 'object')
      throw invalidArgument('serve needs a contract made by contract()');
    this.messages = new Map(messagesOf(contract.definitions));
    checkHandlers(contract.name, this.messages, handlers as Record<string, unknown>);
    this.contract = contract;
    this.handlers = handlers;
    this.path = resolveSocketPath(options.path, contract.name);
    this.settings = checkServeOptions(options);
    this.clientCounters = new ServerCounters((error) => {
      this.totals.countersBroken++;
      debug('%s: %s', this.contract.name, messageOf(error));
    });
    for (const [name, { kind, codec }] of this.messages) {
      if (kind === 'state') this.states.set(name, this.makeState(name, resolveCodec(codec)));
    }
  }

  private makeState(name: string, codec: PayloadCodec): ServerState<unknown> {
    return new ServerState(name, codec, this.settings.maxMessageBytes, (message) => {
      for (const session of this.sessions.keys()) session.pushes.pushState(name, message);
    });
  }

  // --- telling --------------------------------------------------------------------------------------------------

  /** The state of this name, to be set; the same object each time. */
  state<N extends NamesOf<D, 'state'>>(name: N): ServerState<SentValueOf<D, N>> {
    const state = this.states.get(name);
    if (state === undefined) throw this.unknown(name, 'state');
    return state as ServerState<SentValueOf<D, N>>;
  }

  /**
   * Tells apps something. Encoded once, however many there are. Returns how many accepted it; what becomes of the others, which do not read fast enough, is the
   * definition's `slowClient`. Apps that are not connected, or do not know the name, miss it.
   *
   * @throws PillionError ERR_PILLION_UNKNOWN_NAME, _ENCODE or _TOO_LARGE: the call itself is wrong.
   */
  broadcast<N extends NamesOf<D, 'broadcast'>>(
    name: N,
    ...args: undefined extends SentPayloadOf<D, N>
      ? [payload?: SentPayloadOf<D, N>, options?: BroadcastSendOptions]
      : [payload: SentPayloadOf<D, N>, options?: BroadcastSendOptions]
  ): number {
    const [payload, { to, headers } = {}] = args;
    const definition = this.messages.get(name) as BroadcastDefinition | undefined;
    if (definition?.kind !== 'broadcast') throw this.unknown(name, 'broadcast');
    const message = new SharedMessage(payload, resolveCodec(definition.codec), encodeHeaders(headers));
    const { length } = message.bytes;
    const { maxMessageBytes } = this.settings;
    if (length > maxMessageBytes) {
      throw new PillionError(
        'ERR_PILLION_TOO_LARGE',
        `"${name}" was given ${length} bytes, allowed are maxMessageBytes=${maxMessageBytes}`,
      );
    }
    let sent = 0;
    for (const session of this.audience(to)) {
      const outcome = session.pushes.pushBroadcast(name, message, definition.slowClient);
      if (outcome === 'sent') sent++;
      if (outcome === 'dropped') this.totals.broadcastsDropped++;
    }
    this.totals.broadcastsSent += sent;
    return sent;
  }

  /** A list of its own: what a predicate does or throws must not leave a broadcast half told. */
  private audience(to: Audience | undefined): ServerSession[] {
    if (to === undefined) return [...this.sessions.keys()];
    const isMeant = typeof to === 'string' ? ({ clientId }: ConnectedClient) => clientId === to : to;
    return [...this.sessions].filter(([, client]) => isMeant(client)).map(([session]) => session);
  }

  /** Who is connected. A snapshot. */
  clients(): ConnectedClient[] {
    return [...this.sessions.values()];
  }

  private unknown(name: string, kind: string): PillionError {
    const known = [...this.messages].filter(([, definition]) => definition.kind === kind);
    return new PillionError(
      'ERR_PILLION_UNKNOWN_NAME',
      `contract "${this.contract.name}" has no ${kind} "${name}"; it has ${known.map(([key]) => key).join(', ') || 'none'}`,
    );
  }

  /** Internal: `serve` does this. */
  async open(): Promise<void> {
    const { takeover, addon, handshakeTimeoutMs } = this.settings;
    const deadline = performance.now() + handshakeTimeoutMs;
    for (;;) {
      const predecessor = takeover ? await requestTakeover(this.path, this.contract.name, addon, handshakeTimeoutMs) : null;
      try {
        await this.listen(predecessor);
        return;
      } catch (error) {
        // Who died while we asked holds the lock until the kernel has closed all of its files; or another successor was faster, and is asked in its turn.
        const isPassing = takeover && predecessor === null && (error as PillionError).code === 'ERR_PILLION_ADDRESS_IN_USE';
        if (!isPassing || performance.now() > deadline) throw error;
      } finally {
        predecessor?.close();
      }
      await sleep(LOCK_RETRY_MS);
    }
  }

  private async listen(predecessor: Predecessor | null): Promise<void> {
    const { settings } = this;
    this.listener = await Listener.open({
      path: this.path,
      addon: settings.addon,
      mode: settings.mode,
      allowSharedDirectory: settings.allowSharedDirectory,
      inheritedLock: predecessor?.lock ?? -1,
      isTakeover: predecessor !== null,
      onConnection: (stream) => void this.accept(stream),
      onError: (error) => {
        this.totals.clientsRefused++;
        this.emitLater('refused', error);
      },
    });
    predecessor?.confirm();
  }

  // --- connections ----------------------------------------------------------------------------------------------

  private async accept(stream: HandshakeStream): Promise<void> {
    const { settings } = this;
    this.handshakes.add(stream);
    stream.unref();
    try {
      const welcomed = await welcome(
        stream,
        {
          ...settings.rules,
          contract: this.contract.name,
          addon: settings.transport === 'socket' ? null : settings.addon,
          noShmReason: settings.noShmReason,
          maxRingBytes: settings.maxRingBytes,
          counters: { addon: settings.addon, noAddonReason: settings.noShmReason, maxBytes: settings.maxCounterBytes },
          maxArenaBytes: settings.maxArenaBytes,
          timeoutMs: settings.handshakeTimeoutMs,
          closeDescriptor: (descriptor) => settings.addon?.closeDescriptor(descriptor),
          answer: {
            contract: this.contract.name,
            names: [...this.messages].map(([name, { kind, codec }]) => ({
              name,
              kind,
              codec: resolveCodec(codec).name,
            })),
            maxMessageBytes: settings.maxMessageBytes,
            serverId: this.serverId,
            pid: process.pid,
            runtime: LIBRARY_RUNTIME,
          },
          admit: (peer) => this.admit(peer),
        },
        this.listener?.lockDescriptor ?? -1,
      );
      this.handshakes.delete(stream);
      if (welcomed.kind === 'takeover') await this.handOver(stream);
      else this.begin(stream, welcomed);
    } catch (error) {
      this.handshakes.delete(stream);
      stream.destroy();
      if (this.closing !== null) return;
      this.totals.clientsRefused++;
      debug('%s: refused a connection: %s', this.contract.name, (error as Error).message);
      this.emitLater('refused', error as Error);
    }
  }

  private admit(peer: Peer): void {
    const { maxConnections, maxConnectionsPerUid } = this.settings;
    let ofUser = 0;
    for (const session of this.sessions.keys()) if (session.peer.uid === peer.uid) ofUser++;
    if (this.closing !== null || this.sessions.size >= maxConnections || ofUser >= maxConnectionsPerUid) {
      throw new PillionError(
        'ERR_PILLION_BUSY',
        `${this.sessions.size} clients are connected, ${ofUser} of them of uid ${peer.uid}: no more are accepted now`,
      );
    }
  }

  private begin(stream: HandshakeStream, { hello, peer, segment, counterMemory, noCountersReason }: WelcomedClient): void {
    const { settings, totals } = this;
    let channel: Channel;
    try {
      channel =
        segment === null
          ? socketChannel(stream, hello)
          : shmChannel(settings.addon as NativeAddon, stream as NativeHandshakeStream, segment);
    } catch (error) {
      segment?.close();
      counterMemory?.close();
      throw error;
    }
    totals.connections++;
    const client = { clientId: hello.clientId, peer: { ...peer, runtime: hello.runtime }, transport: channel.transport };
    const clientCounters = this.clientCounters.open(client, counterMemory, noCountersReason);
    const session = new ServerSession({
      channel,
      contractName: this.contract.name,
      ...client,
      pushTargets: this.pushTargets(hello.names),
      concurrency: settings.concurrency,
      maxOpenStreams: settings.maxOpenStreams,
      windowBytes: settings.windowBytes,
      routes: hello.names.map((entry) => this.route(entry)),
      maxMessageBytes: settings.maxMessageBytes,
      maxQueuedBytes: settings.maxQueuedBytes,
      exposeStacks: settings.exposeStacks,
      checksViews: settings.checksViews,
      counters: totals,
      onHandlerError: (error, name, context) => this.onHandlerError(error, name, context),
      onEnd: (error) => {
        this.sessions.delete(session);
        session.whenReturned(() => segment?.close());
        if (error !== null) totals.clientsRefused++;
        debug('%s: client %s left: %s', this.contract.name, client.clientId, error?.message ?? 'hung up');
        if (disconnects.hasSubscribers)
          disconnects.publish({ side: 'server', contract: this.contract.name, path: this.path, ...client, reason: error });
        this.emitLater('disconnect', { ...client, counters: this.clientCounters.close(clientCounters) }, error);
      },
    });
    this.sessions.set(session, client);
    debug('%s: client %s (pid %s, uid %s) over %s', this.contract.name, client.clientId, peer.pid, peer.uid, channel.transport);
    if (connects.hasSubscribers)
      connects.publish({ side: 'server', contract: this.contract.name, path: this.path, ...client, reason: null });
    this.emitLater('connect', client);
    // Before any answer, so that an app that has one knows the states as well.
    for (const [name, { message }] of this.states) if (message !== null) session.pushes.pushState(name, message);
    // What the client had sent before it connected is in the ring already.
    session.onReady();
  }

  /** Which of our states and broadcasts a client knows, and where. */
  private pushTargets(names: readonly NameEntry[]): Map<string, PushTarget> {
    const targets = new Map<string, PushTarget>();
    for (const [index, { name, kind, codec: codecName }] of names.entries()) {
      const definition = this.messages.get(name);
      if (definition?.kind !== kind || (kind !== 'state' && kind !== 'broadcast')) continue;
      const own = resolveCodec(definition.codec);
      const codec = own.name === codecName ? own : builtInCodec(codecName);
      if (codec !== undefined) targets.set(name, { index, codec });
    }
    return targets;
  }

  /** What a name of the client's means here. The client says which codec it uses. */
  private route({ name, kind, codec: codecName }: NameEntry): Route {
    const definition = this.messages.get(name);
    const unknown = (problem: string): Route => ({ name, kind, handler: null, codec: null, problem });
    if (definition === undefined) return unknown(`the sidecar's contract "${this.contract.name}" has no "${name}"`);
    if (definition.kind !== kind) return unknown(`"${name}" is a ${definition.kind} at the sidecar, a ${kind} at the app`);
    const own = resolveCodec(definition.codec);
    const codec = own.name === codecName ? own : builtInCodec(codecName);
    if (codec === undefined) return unknown(`the sidecar does not know codec "${codecName}" of "${name}"`);
    const hasItems = kind === 'upload' || kind === 'duplex';
    return {
      name,
      kind,
      codec: checkedDecoding(codec, hasItems ? undefined : checkOf(definition.input, `"${name}"`)),
      checkItem: hasItems ? checkOf(definition.input, `an item of "${name}"`) : undefined,
      problem: '',
      handler: this.handlerOf(name, kind),
      isBorrowed: isBorrowing(definition) && codecName === 'raw',
    };
  }

  /** Null for what only the sidecar tells. */
  private handlerOf(name: string, kind: string): Handler | null {
    const handler = (this.handlers as Record<string, Handler>)[name];
    return handler === undefined ? null : throughMiddleware(this.settings.middleware, this.contract.name, kind, name, handler);
  }

  private onHandlerError(error: unknown, name: string, context: HandlerContext): void {
    debug('%s: handler "%s" failed: %s', this.contract.name, name, messageOf(error));
    this.emitLater('handlerError', error, name, context);
  }

  // A listener that throws is an uncaught exception of the user's, and must not end what we are in the middle of.
  private emitLater<E extends keyof ServerEvents>(event: E, ...args: ServerEvents[E]): void {
    if (this.listenerCount(event) > 0) queueMicrotask(() => (this as EventEmitter).emit(event, ...args));
  }

  // --- end ------------------------------------------------------------------------------------------------------

  /** A successor waits for path and lock: when it says that it listens, this server leaves. */
  private async handOver(stream: HandshakeStream): Promise<void> {
    try {
      await stream.read(1);
    } catch {
      // It died before it listened: nothing has changed.
      return;
    } finally {
      stream.destroy();
    }
    this.listener?.abandon();
    this.emitLater('takenOver');
    await this.close();
  }

  /**
   * Leaves: accepts nobody any more, tells the clients (who keep what this server has not taken for its successor), finishes what it has taken, sends the answers. After `timeout` ms
   * (default 5,000) whatever is left is cut off: handlers' signals abort. Safe to call twice.
   */
  close(options: { timeout?: number } = {}): Promise<void> {
    this.closing ??= this.shutDown(timeoutOption('timeout', options.timeout, 5000));
    return this.closing;
  }

  private async shutDown(timeoutMs: number): Promise<void> {
    this.listener?.close();
    for (const stream of this.handshakes) stream.destroy();
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<void>((resolve) => {
      if (timeoutMs !== Number.POSITIVE_INFINITY) timer = setTimeout(resolve, Math.min(timeoutMs, 2 ** 31 - 1));
    });
    await Promise.race([Promise.all([...this.sessions.keys()].map((session) => session.leave())), tooLate]);
    clearTimeout(timer);
    for (const session of [...this.sessions.keys()]) session.end(null);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Let the server keep the process alive (default), or not. */
  ref(): this {
    this.listener?.ref();
    return this;
  }

  unref(): this {
    this.listener?.unref();
    return this;
  }

  /**
   * The counters of all connected clients as they are now. Read from shared memory: the apps need not be awake, and do not notice. The last ones of a
   * client that is gone come with the `disconnect` event; `sumCounters` adds up.
   */
  counters(): ClientCounters[] {
    return this.clientCounters.read();
  }

  /** What this server has done. A snapshot. */
  stats(): ServerStats {
    let { doorbells } = this.totals;
    let queuedBytes = 0;
    let callsWaiting = 0;
    let streamsOpen = 0;
    for (const session of this.sessions.keys()) {
      doorbells += session.channel.doorbellCount;
      queuedBytes += session.queuedBytes;
      callsWaiting += session.waitingCount;
      streamsOpen += session.openStreamCount;
    }
    return { ...this.totals, doorbells, queuedBytes, callsWaiting, streamsOpen, clients: this.sessions.size };
  }
}

/**
 * Listens for apps that speak this contract. Resolves when clients can connect.
 *
 * Handlers run in the order in which their messages were accepted, per client. A handler that returns a promise does not hold up the next message; an
 * event keeps its place in the ring until its handler is done, so that a successor gets it if this process dies.
 *
 * @throws PillionError ERR_PILLION_INVALID_ARGUMENT, _SOCKET_PATH, _ADDRESS_IN_USE, _SYSTEM
 */
export async function serve<D extends Definitions>(
  contract: Contract<D>,
  handlers: Handlers<D>,
  options: ServeOptions = {},
): Promise<Server<D>> {
  const server = new Server(contract, handlers, options);
  await server.open();
  return server;
}

function isBorrowing(definition: MessageDefinition): boolean {
  return 'borrow' in definition && definition.borrow === true;
}

function checkHandlers(contractName: string, messages: ReadonlyMap<string, MessageDefinition>, handlers: Record<string, unknown>): void {
  const isHandled = (name: string): boolean => messages.get(name)?.kind !== 'state' && messages.get(name)?.kind !== 'broadcast';
  for (const name of messages.keys()) {
    if (isHandled(name) && typeof handlers?.[name] !== 'function')
      throw invalidArgument(`there is no handler for "${name}" of contract "${contractName}"`);
  }
  for (const name of Object.keys(handlers)) {
    if (!messages.has(name))
      throw invalidArgument(`contract "${contractName}" has no "${name}" to be handled, but there is a handler for it`);
    if (!isHandled(name)) throw invalidArgument(`"${name}" is something that the sidecar tells: it has no handler`);
  }
}

function shmChannel(addon: NativeAddon, stream: NativeHandshakeStream, segment: NativeSegment): Channel {
  const [inbound, outbound] = ringsOfSegment(segment.buffer, segment.headerBytes, segment.capacities);
  // First what a client's positions can make fail: until then the stream still owns the socket, and closes it.
  const producer = new RingProducer(outbound);
  const arena = arenaOfSegment(segment.arena);
  return new ShmChannel(addon, stream.intoNative(), segment, producer, inbound, 0, arena === null ? noLoans : new ArenaLoans(arena));
}

function socketChannel(stream: HandshakeStream, hello: Hello): Channel {
  const memory = privateRing(hello.ringBytes[1]);
  const outbox = { memory, producer: new RingProducer(memory), arena: null };
  return new SocketChannel(stream.intoSocket(), outbox, { ringBytes: hello.ringBytes[0], arenaBytes: hello.arenaBytes ?? 0 }, true);
}
