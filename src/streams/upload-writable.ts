import { Writable } from 'node:stream';
import { PillionError } from '../errors.js';
import { asError } from './inlet.js';
import { type ItemSink, sendChunks } from './outlet.js';

/** An upload, as its Node stream sees it. */
export interface UploadPort {
  readonly output: ItemSink;
  /** The handler's answer. */
  readonly result: Promise<unknown>;
  /** Says that nothing follows, after what was sent. */
  finish(): Promise<void>;
  /** Nothing follows, though it should: the handler is told why. */
  abort(reason: unknown): void;
}

/**
 * An upload as a Node `Writable`: of bytes if its codec is `raw`, of objects otherwise. `finish` says that everything was sent, `result` is the handler's answer, and `close` comes after it. If
 * the handler answers before it has read everything, the stream closes without `finish`: nobody wants the rest.
 */
export class UploadWritable<Res> extends Writable {
  /** Settles when the handler has answered or failed. Need not be awaited: what it rejects with is an `error` event as well, if the stream is still open. */
  readonly result: Promise<Res>;
  private readonly port: UploadPort;
  /** A write that nobody will read. */
  private unsent: ((error?: Error | null) => void) | null = null;

  constructor(port: UploadPort) {
    super({ objectMode: !port.output.isBytes });
    this.port = port;
    this.result = port.result as Promise<Res>;
    this.result.then(
      () => this.destroy(),
      (error) => this.destroy(asError(error)),
    );
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
    sendChunks(this.port.output, chunks, callback, () => {
      // The result says what has happened, in a moment.
      this.unsent = callback;
      if (this.destroyed) this.settleUnsent(null);
    });
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.port.finish().then(() => callback(), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.settleUnsent(error);
    if (error !== null || !this.writableFinished) {
      this.port.abort(error ?? new PillionError('ERR_PILLION_CLOSED', 'the app closed the upload before it had sent everything'));
      callback(error);
      return;
    }
    this.result.then(
      () => callback(null),
      (reason) => callback(asError(reason)),
    );
  }

  private settleUnsent(error: Error | null): void {
    const { unsent } = this;
    this.unsent = null;
    unsent?.(error ?? new PillionError('ERR_PILLION_CLOSED', 'the upload was over before this was sent'));
  }
}
