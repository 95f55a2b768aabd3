import { Readable } from 'node:stream';
import { asError, Inlet, type ItemSource, readableOptions } from './inlet.js';

/** The items of a stream as a Node `Readable`. */
export class ItemReadable extends Readable {
  private readonly source: ItemSource;
  private readonly inlet: Inlet;

  constructor(source: ItemSource) {
    const { readableObjectMode, readableHighWaterMark } = readableOptions(source);
    super({ objectMode: readableObjectMode, highWaterMark: readableHighWaterMark });
    this.source = source;
    this.inlet = new Inlet(this, source);
    source.onEnd = () => {
      // Nobody need be reading to be told that there is nothing left to read.
      if (source.failure !== null && this.inlet.isOver) this.destroy(asError(source.failure.reason));
    };
  }

  override _read(): void {
    this.inlet.read();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.source.onEnd = null;
    this.source.cancel(null);
    callback(error);
  }
}
