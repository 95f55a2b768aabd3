import type { Channel } from '../channel/channel.js';
import { type Dialed, dial } from '../channel/dial.js';
import type { HandshakeStream, NativeHandshakeStream } from '../channel/handshake-stream.js';
import type { Peer, PeerRules } from '../channel/peer.js';
import { ShmChannel } from '../channel/shm.js';
import { SocketChannel } from '../channel/socket.js';
import { PillionError } from '../errors.js';
import { type NativeAddon, systemError } from '../native.js';
import type { Hello } from '../protocol/handshake.js';
import { Backoff } from './backoff.js';
import type { ClientMemory, RingBytes } from './client-memory.js';

export interface ConnectorOptions extends PeerRules {
  path: string;
  addon: NativeAddon | null;
  ringBytes: RingBytes;
  handshakeTimeoutMs: number;
  /** The memfd of the client's counters, the same for all its connections; -1 for none. */
  counterDescriptor: number;
  /** Everything of HELLO that does not depend on the connection. */
  hello: Omit<Hello, 'transports' | 'noShmReason'>;
}

/** A connection as its session sees it. */
export interface Connection {
  readonly channel: Channel;
  readonly peer: Peer;
  /** Why it runs over the socket, if shared memory was wanted. */
  readonly fallbackReason: string | undefined;
  /** Why the server does not read the counters. */
  readonly noCountersReason: string | undefined;
}

/** Whose memory is offered, and who is told. */
export interface ConnectorHost {
  readonly memory: ClientMemory;
  onConnected(connection: Connection): void;
  /** A handshake failed after the descriptor had left. `mayHaveRead`: nor is it certain that the server has read nothing. */
  onDescriptorLost(mayHaveRead: boolean): void;
  /** The server got the descriptor, but wants the socket: go on in memory that it does not have. */
  moveToPrivateMemory(reason: string): void;
}

/** A connection that held for so long was a good one: the next attempt is made at once. */
const GOOD_CONNECTION_MS = 1000;

/** Makes connections, one after the other, until it is closed. */
export class Connector {
  /** Why the last attempt failed. */
  lastError: Error | null = null;
  private readonly options: ConnectorOptions;
  private readonly host: ConnectorHost;
  private readonly backoff: Backoff;
  private readonly abort = new AbortController();
  /** The connection whose handshake is under way. */
  private dialing: HandshakeStream | null = null;
  private isAlive = false;
  private connectedAt = 0;

  constructor(options: ConnectorOptions, host: ConnectorHost) {
    this.options = options;
    this.host = host;
    this.backoff = new Backoff(options.path);
  }

  private get isClosed(): boolean {
    return this.abort.signal.aborted;
  }

  /** Tries until there is a connection. */
  async connect(): Promise<void> {
    while (!this.isClosed && !(await this.tryConnect())) {
      if (!this.isClosed) await this.backoff.wait();
    }
  }

  /** The same after the last connection ended: at once, unless it was short or the server is `faulty`, which could go on for ever. */
  async reconnect(isFaulty: boolean): Promise<void> {
    if (isFaulty || performance.now() - this.connectedAt < GOOD_CONNECTION_MS) await this.backoff.wait();
    else this.backoff.reset();
    await this.connect();
  }

  private async tryConnect(): Promise<boolean> {
    const { options, host } = this;
    const { segment, noShmReason } = host.memory;
    const descriptor = segment?.descriptor ?? -1;
    const progress = { isDescriptorSent: false, mayHaveRead: false };
    try {
      const dialed = await dial({
        ...options,
        descriptor,
        hello: {
          ...options.hello,
          transports: descriptor >= 0 ? ['shm', 'socket'] : ['socket'],
          ...(noShmReason === undefined ? {} : { noShmReason }),
        },
        timeoutMs: options.handshakeTimeoutMs,
        progress,
        signal: this.abort.signal,
        onOpen: (stream) => {
          this.dialing = stream;
          if (!this.isAlive) stream.unref();
        },
      });
      this.dialing = null;
      if (this.isClosed) {
        dialed.stream.destroy();
        return false;
      }
      this.lastError = null;
      this.backoff.rest();
      this.connectedAt = performance.now();
      host.onConnected(this.open(dialed));
      return true;
    } catch (error) {
      this.dialing = null;
      this.lastError = describeFailure(error, options.path);
      // Whoever got the descriptor may write to the memory for ever.
      if (progress.isDescriptorSent && !this.isClosed) host.onDescriptorLost(progress.mayHaveRead);
      return false;
    }
  }

  private open({ stream, welcome, peer }: Dialed): Connection {
    const { host, options } = this;
    const { noCountersReason } = welcome;
    if (welcome.transport === 'socket') {
      if (host.memory.segment !== null) host.moveToPrivateMemory(welcome.reason ?? 'the server chose the socket');
      const { outbound, producer, noShmReason, arena } = host.memory;
      const outbox = { memory: outbound, producer, arena: arena?.bytes ?? null };
      const channel = new SocketChannel(stream.intoSocket(), outbox, { ringBytes: options.ringBytes[1], arenaBytes: 0 }, false);
      return { channel, peer, fallbackReason: noShmReason ?? welcome.reason, noCountersReason };
    }
    const { addon } = options;
    const { segment, producer, inbound } = host.memory;
    if (addon === null || segment === null || inbound === null)
      throw new PillionError('ERR_PILLION_PROTOCOL', 'the server chose what was not offered');
    const channel = new ShmChannel(addon, (stream as NativeHandshakeStream).intoNative(), segment, producer, inbound, 1);
    return { channel, peer, fallbackReason: undefined, noCountersReason };
  }

  /** Should waiting for a connection keep the process alive? */
  keepAlive(on: boolean): void {
    this.isAlive = on;
    this.backoff.keepAlive(on);
    if (on) this.dialing?.ref();
    else this.dialing?.unref();
  }

  close(): void {
    this.abort.abort();
    this.backoff.close();
  }
}

function describeFailure(error: unknown, path: string): Error {
  if (error instanceof PillionError) return error;
  const wrapped = systemError(error, `cannot connect to ${path}`);
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOENT' && code !== 'ECONNREFUSED') return wrapped;
  return new PillionError('ERR_PILLION_NOT_CONNECTED', `no sidecar listens at ${path} (${code})`, { cause: error });
}
