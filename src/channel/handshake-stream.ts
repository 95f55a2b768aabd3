import { Socket } from 'node:net';
import { PillionError } from '../errors.js';
import { type Credentials, errnoName, type NativeAddon, type NativeSocket } from '../native.js';

/** A fresh connection as the handshake needs it: exact reads, writes with a descriptor, credentials; then handed on. */
export interface HandshakeStream {
  /** Exactly `length` bytes; rejects if the peer hangs up first. One read at a time. */
  read(length: number): Promise<Buffer>;
  /** Sends everything or throws. The descriptors travel with the first byte; -1 for none. */
  write(bytes: Buffer, ...descriptors: number[]): void;
  /** Descriptors that have come along, now the caller's. Null if some were lost. */
  takeDescriptors(): number[] | null;
  /** Who is at the other end, as the kernel says; undefined where Node has no way to ask. */
  credentials(): Credentials | undefined;
  /** The connection as a Node socket; this object is done then. */
  intoSocket(): Socket;
  /** Does waiting for the peer keep the process alive? It does unless told otherwise. */
  ref(): void;
  unref(): void;
  destroy(): void;
}

function hungUp(): PillionError {
  return new PillionError('ERR_PILLION_PEER_DIED', 'the peer hung up during the handshake');
}

/** Over the addon's socket: can pass descriptors and knows credentials. */
export class NativeHandshakeStream implements HandshakeStream {
  private pending: { bytes: Buffer; filled: number; resolve(bytes: Buffer): void; reject(error: Error): void } | null = null;
  private socket: NativeSocket | null;

  constructor(socket: NativeSocket) {
    this.socket = socket;
  }

  read(length: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.socket === null) return reject(hungUp());
      this.pending = { bytes: Buffer.alloc(length), filled: 0, resolve, reject };
      if (length === 0) return this.settle(null);
      const result = this.socket.watch(() => this.onReadable());
      if (result < 0) this.settle(new PillionError('ERR_PILLION_SYSTEM', `polling the socket failed with ${errnoName(result)}`));
    });
  }

  private onReadable(): void {
    const { pending, socket } = this;
    if (pending === null || socket === null) return;
    // Never beyond what was asked for: what follows belongs to the channel.
    const received = socket.receive(pending.bytes, pending.filled, pending.bytes.length);
    if (received > 0) {
      pending.filled += received;
      if (pending.filled === pending.bytes.length) this.settle(null);
    } else if (received === 0) {
      this.settle(
        pending.filled === 0 ? hungUp() : new PillionError('ERR_PILLION_SYSTEM', 'the peer hung up in the middle of its handshake'),
      );
    } else if (errnoName(received) !== 'EAGAIN') {
      const isHangup = errnoName(received) === 'ECONNRESET' && pending.filled === 0;
      this.settle(isHangup ? hungUp() : new PillionError('ERR_PILLION_SYSTEM', `reading the handshake failed with ${errnoName(received)}`));
    }
  }

  private settle(error: Error | null): void {
    const pending = this.pending;
    this.pending = null;
    this.socket?.watch(null);
    if (pending === null) return;
    if (error === null) pending.resolve(pending.bytes);
    else pending.reject(error);
  }

  write(bytes: Buffer, ...descriptors: number[]): void {
    const sent = this.socket?.send(bytes, 0, bytes.length, ...descriptors) ?? 0;
    // A handshake message fits the buffer of a fresh socket; anything else is a peer that plays games.
    if (sent !== bytes.length) {
      throw new PillionError('ERR_PILLION_SYSTEM', `sending the handshake failed with ${sent < 0 ? errnoName(sent) : 'a full buffer'}`);
    }
  }

  takeDescriptors(): number[] | null {
    return this.socket === null ? [] : this.socket.takeDescriptors();
  }

  credentials(): Credentials | undefined {
    return this.socket?.credentials();
  }

  /** The native socket itself, for a shared-memory channel. */
  intoNative(): NativeSocket {
    const socket = this.socket as NativeSocket;
    this.socket = null;
    return socket;
  }

  intoSocket(): Socket {
    return new Socket({ fd: this.intoNative().detach(), readable: true, writable: true });
  }

  ref(): void {
    this.socket?.ref();
  }

  unref(): void {
    this.socket?.unref();
  }

  destroy(): void {
    const socket = this.socket;
    this.socket = null;
    this.settle(hungUp());
    socket?.close();
  }
}

/** Over node:net, where there is no addon: no descriptors, no credentials. */
export class NetHandshakeStream implements HandshakeStream {
  private readonly socket: Socket;
  private failed: Error | null = null;
  private wake: (() => void) | null = null;
  private readonly onEvent = (): void => this.wake?.();
  private readonly onFailure = (error?: Error): void => {
    this.failed ??= error instanceof Error ? error : hungUp();
    this.wake?.();
  };

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('readable', this.onEvent);
    socket.on('end', this.onFailure);
    socket.on('close', this.onFailure);
    socket.on('error', this.onFailure);
  }

  async read(length: number): Promise<Buffer> {
    if (length === 0) return Buffer.alloc(0);
    for (;;) {
      const bytes = this.socket.read(length) as Buffer | null;
      // At its end a stream hands out what is left, however short.
      if (bytes !== null && bytes.length === length) return bytes;
      if (this.failed !== null || bytes !== null) throw this.failed ?? hungUp();
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  write(bytes: Buffer, ..._descriptors: number[]): void {
    this.socket.write(bytes);
  }

  takeDescriptors(): number[] {
    return [];
  }

  credentials(): undefined {
    return undefined;
  }

  intoSocket(): Socket {
    this.socket.removeListener('readable', this.onEvent);
    this.socket.removeListener('end', this.onFailure);
    this.socket.removeListener('close', this.onFailure);
    this.socket.removeListener('error', this.onFailure);
    return this.socket;
  }

  ref(): void {
    this.socket.ref();
  }

  unref(): void {
    this.socket.unref();
  }

  destroy(): void {
    this.socket.destroy();
    this.onFailure();
  }
}

/** Connects to a Unix socket: natively if there is an addon, else through node:net. Rejects with the system's error, e.g. code ENOENT. */
export async function openStream(path: string, addon: NativeAddon | null): Promise<HandshakeStream> {
  if (addon !== null) return new NativeHandshakeStream(addon.UnixSocket.connect(path));
  const socket = new Socket();
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
    socket.connect(path);
  });
  socket.removeAllListeners('error');
  return new NetHandshakeStream(socket);
}
