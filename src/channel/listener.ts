import { connect, createServer, type Server } from 'node:net';
import { messageOf, PillionError } from '../errors.js';
import { errnoName, type NativeAddon, type NativeSocket, systemError } from '../native.js';
import { type HandshakeStream, NativeHandshakeStream, NetHandshakeStream } from './handshake-stream.js';
import { checkReplaceable, type FileIdentity, prepareDirectory, privateName, publish, unlinkIfOurs, unlinkQuietly } from './socket-path.js';

export interface ListenOptions {
  path: string;
  addon: NativeAddon | null;
  mode: number;
  allowSharedDirectory: boolean;
  /** A lock descriptor that a predecessor handed over; -1: take the lock. */
  inheritedLock: number;
  /** The path's owner has agreed to leave it to us. */
  isTakeover: boolean;
  onConnection(stream: HandshakeStream): void;
  /** Something went wrong that concerns no connection in particular, e.g. no descriptor is free. */
  onError(error: Error): void;
}

/**
 * Owns the socket path: lock file, private name, rename. The path always leads to exactly one living server or to a stale file.
 *
 * Lock before rename, so that of two servers that start together one wins; rename in place of unlink and bind, so that there is no moment without a
 * socket, and closing the old server cannot remove the new one's file.
 */
export class Listener {
  private readonly options: ListenOptions;
  private native: NativeSocket | null = null;
  private server: Server | null = null;
  private lock: number;
  private identity: FileIdentity | null = null;

  private constructor(options: ListenOptions) {
    this.options = options;
    this.lock = options.inheritedLock;
  }

  static async open(options: ListenOptions): Promise<Listener> {
    const listener = new Listener(options);
    try {
      await listener.start();
      return listener;
    } catch (error) {
      listener.close();
      throw error;
    }
  }

  /** The lock's descriptor, to be handed to a successor; -1 where there is no addon. */
  get lockDescriptor(): number {
    return this.lock;
  }

  private async start(): Promise<void> {
    const { path, addon, mode, allowSharedDirectory, inheritedLock, isTakeover } = this.options;
    prepareDirectory(path, allowSharedDirectory);
    checkReplaceable(path);
    if (inheritedLock < 0 && addon !== null) this.takeLock(addon);
    // A server without the addon holds no lock, and one elsewhere may have lost its lock file: ask the socket itself, too.
    if (!isTakeover) await refuseIfAlive(path);
    const boundName = privateName(path);
    try {
      if (addon !== null) this.listenNatively(addon, boundName);
      else await this.listenThroughNode(boundName);
      this.identity = publish(boundName, path, mode);
    } catch (cause) {
      unlinkQuietly(boundName);
      if (cause instanceof PillionError) throw cause;
      throw new PillionError('ERR_PILLION_SOCKET_PATH', `the socket cannot be put at ${path}: ${messageOf(cause)}`, { cause });
    }
  }

  private takeLock(addon: NativeAddon): void {
    const lockPath = `${this.options.path}.lock`;
    const result = addon.lockFile(lockPath);
    if (result >= 0) {
      this.lock = result;
      return;
    }
    const name = errnoName(result);
    if (name === 'EAGAIN') throw inUse(this.options.path);
    throw new PillionError('ERR_PILLION_SOCKET_PATH', `the lock file ${lockPath} cannot be used: ${name}`);
  }

  private listenNatively(addon: NativeAddon, boundName: string): void {
    try {
      this.native = addon.UnixSocket.listen(boundName);
    } catch (error) {
      throw systemError(error, `cannot listen at ${this.options.path}`);
    }
    const socket = this.native;
    socket.watch(() => {
      // A few per turn; the poll is level-triggered.
      for (let i = 0; i < 64; i++) {
        const accepted = socket.accept();
        if (accepted === null) return;
        if (typeof accepted === 'number') {
          this.options.onError(
            new PillionError('ERR_PILLION_SYSTEM', `a connection was refused: accept failed with ${errnoName(accepted)}`),
          );
          return;
        }
        this.options.onConnection(new NativeHandshakeStream(accepted));
      }
    });
  }

  private async listenThroughNode(boundName: string): Promise<void> {
    const server = createServer({ pauseOnConnect: false }, (socket) => this.options.onConnection(new NetHandshakeStream(socket)));
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(boundName, resolve);
    }).catch((cause: unknown) => {
      throw new PillionError('ERR_PILLION_SYSTEM', `cannot listen at ${this.options.path}: ${messageOf(cause)}`, { cause });
    });
    server.on('error', (error) => this.options.onError(error));
  }

  ref(): void {
    this.native?.ref();
    this.server?.ref();
  }

  unref(): void {
    this.native?.unref();
    this.server?.unref();
  }

  /** A successor has taken path and lock over: only stop accepting. */
  abandon(): void {
    this.identity = null;
    this.close();
  }

  /** Stops accepting, removes the path if it is still ours, gives up the lock. Safe to call twice. */
  close(): void {
    if (this.identity !== null) unlinkIfOurs(this.options.path, this.identity);
    this.identity = null;
    this.native?.close();
    this.native = null;
    this.server?.close();
    this.server = null;
    if (this.lock >= 0) this.options.addon?.closeDescriptor(this.lock);
    this.lock = -1;
  }
}

function inUse(path: string): PillionError {
  return new PillionError(
    'ERR_PILLION_ADDRESS_IN_USE',
    `another server owns ${path}: stop it, choose another path, or take it over with the option takeover`,
  );
}

async function refuseIfAlive(path: string): Promise<void> {
  const isAlive = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (isAlive) throw inUse(path);
}
