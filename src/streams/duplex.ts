import { Duplex } from 'node:stream';
import { PillionError } from '../errors.js';
import { asError, Inlet, type ItemSource, readableOptions } from './inlet.js';
import { type ItemSink, sendChunks } from './outlet.js';

/** One end of a duplex stream, as its Node stream sees it. */
export interface DuplexPort {
  readonly input: ItemSource;
  readonly output: ItemSink & { onClose: (() => void) | null };
  /** Says that nothing follows, after what was sent. */
  finish(): Promise<void>;
  /** Ends both directions in order, as if the process had closed a socket. */
  close(): void;
  /** Gives up both directions; the other side is told why. */
  destroy(reason: unknown): void;
  /** May this stream keep the process alive? */
  setReferenced(isReferenced: boolean): void;
}

export interface DuplexSocketOptions {
  /** May this side go on writing after the other one has ended? Default true; false ends this side too, as `net.connect` does by default. */
  allowHalfOpen?: boolean;
}

/** The longest time a timer can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * A duplex stream as a Node `Duplex`: of bytes if its codec is `raw`, of objects otherwise. It has what `node:http`, `node:http2` and undici ask of a connection's socket.
 *
 * Both directions obey the stream's credit: `write` returns false, and `_read` waits, as the other side reads and writes. `end()` ends one direction, `destroy(error)` both: the other
 * side is told the error; without one it sees what the closing of a socket looks like. Ends by itself once both directions are over.
 */
export class DuplexSocket extends Duplex {
  /** It can be written to at once, whether or not the sidecar is there: what is written waits for it. */
  readonly connecting = false;
  readonly pending = false;
  readonly encrypted = false;
  /** There are no addresses, but the names that are looked at. */
  readonly remoteAddress = undefined;
  readonly remotePort = undefined;
  readonly remoteFamily = undefined;
  readonly localAddress = undefined;
  readonly localPort = undefined;
  /** As `setTimeout` was given it. */
  timeout: number | undefined = undefined;
  bytesRead = 0;
  bytesWritten = 0;
  private readonly port: DuplexPort;
  private readonly inlet: Inlet;
  private timer: NodeJS.Timeout | undefined;
  /** A write that nobody will read: how the other side ended decides what becomes of it. */
  private unsent: ((error?: Error | null) => void) | null = null;

  constructor(port: DuplexPort, { allowHalfOpen = true }: DuplexSocketOptions = {}) {
    super({ ...readableOptions(port.input), writableObjectMode: !port.output.isBytes, allowHalfOpen });
    this.port = port;
    this.inlet = new Inlet(this, port.input, (item) => {
      if (port.input.isBytes) this.bytesRead += (item as Uint8Array).length;
      this.timer?.refresh();
    });
    port.input.onEnd = () => this.checkOver();
    port.output.onClose = () => this.checkOver();
    this.once('end', () => this.checkOver());
  }

  /** A stream that could not be opened. The error comes as an event, because it need not be the caller's fault. */
  static failed(isBytes: boolean, error: unknown): DuplexSocket {
    const socket = new DuplexSocket(deadPort(isBytes));
    return socket.destroy(asError(error));
  }

  override _read(): void {
    this.inlet.read();
  }

  override _write(chunk: unknown, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.sendAll([chunk], callback);
  }

  override _writev(chunks: { chunk: unknown }[], callback: (error?: Error | null) => void): void {
    this.sendAll(
      chunks.map(({ chunk }) => chunk),
      callback,
    );
  }

  private sendAll(chunks: unknown[], callback: (error?: Error | null) => void): void {
    const { output } = this.port;
    const onSent = (error?: Error | null): void => {
      if (!error && output.isBytes) for (const chunk of chunks) this.bytesWritten += (chunk as Uint8Array).length;
      this.timer?.refresh();
      callback(error);
    };
    sendChunks(output, chunks, onSent, () => {
      this.unsent = callback;
      if (this.destroyed) this.settleUnsent(null);
      else this.checkOver();
    });
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.port.finish().then(() => callback(), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { port } = this;
    port.input.onEnd = port.output.onClose = null;
    if (error !== null) port.destroy(error);
    // What was not sent is missing: the other side must not take that for the end.
    else if (this.writableLength > 0)
      port.destroy(new PillionError('ERR_PILLION_CLOSED', 'the other side closed before it had sent everything'));
    else port.close();
    this.settleUnsent(error);
    callback(error);
  }

  private settleUnsent(error: Error | null): void {
    const { unsent } = this;
    this.unsent = null;
    unsent?.(error ?? new PillionError('ERR_PILLION_CLOSED', 'the stream was closed before this was sent'));
  }

  /** Something has ended. Is everything over? What had arrived is read first, unless a write waits in vain. */
  private checkOver(): void {
    const { input, output } = this.port;
    if (this.destroyed) return;
    if (input.failure !== null) {
      if (this.unsent !== null || this.inlet.isOver) this.destroy(asError(input.failure.reason));
    } else if (output.isClosed && this.inlet.isOver) {
      if (this.unsent !== null)
        this.destroy(new PillionError('ERR_PILLION_CLOSED', 'the other side has closed the stream, and reads no more'));
      else if (this.readableEnded && !this.writableEnded) this.destroy();
    }
  }

  // --- what is asked of a socket ----------------------------------------------------------------------------------

  /** Emits `timeout` when nothing was read or written for so many ms, each time; 0: never. Ends nothing by itself, and keeps no process alive. */
  setTimeout(ms: number, callback?: () => void): this {
    if (!(ms >= 0)) throw new PillionError('ERR_PILLION_INVALID_ARGUMENT', `setTimeout(${String(ms)}) is not a number of ms`);
    clearTimeout(this.timer);
    this.timer = undefined;
    this.timeout = ms;
    if (ms > 0 && !this.destroyed) this.timer = setTimeout(() => this.emit('timeout'), Math.min(ms, MAX_TIMER_MS)).unref();
    if (callback !== undefined) {
      if (ms > 0) this.once('timeout', callback);
      else this.removeListener('timeout', callback);
    }
    return this;
  }

  /** Ends, and destroys when everything was sent. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** At the app: may this open stream keep the process alive? (The default.) At the sidecar that is the server's affair. */
  ref(): this {
    this.port.setReferenced(true);
    return this;
  }

  unref(): this {
    this.port.setReferenced(false);
    return this;
  }

  /** Does nothing: a dead peer is noticed at once. */
  setKeepAlive(): this {
    return this;
  }

  /** Does nothing: nothing is delayed. */
  setNoDelay(): this {
    return this;
  }

  address(): Record<string, never> {
    return {};
  }
}

function deadPort(isBytes: boolean): DuplexPort {
  const nothing = (): void => {};
  return {
    input: {
      isBytes,
      isOver: true,
      failure: null,
      onEnd: null,
      next: async () => ({ value: undefined, done: true }),
      cancel: nothing,
    },
    output: {
      isBytes,
      pieceBytes: 1,
      isReady: false,
      isClosed: true,
      isSettled: true,
      ready: async () => {},
      settled: async () => {},
      send: nothing,
      onClose: null,
    },
    finish: async () => {},
    close: nothing,
    destroy: nothing,
    setReferenced: nothing,
  };
}
