import { closeSync, existsSync, openSync, readSync } from 'node:fs';

const newline = 0x0a;

/** Counts the lines of a file that grows, piece by piece: reading it whole would show in the resident memory, which is measured. */
export class LineCounter {
  readonly #path: string;
  readonly #piece = Buffer.alloc(16 * 1_024);
  #offset = 0;
  #lines = 0;

  constructor(path: string) {
    this.#path = path;
  }

  count(): number {
    if (!existsSync(this.#path)) return 0;
    const file = openSync(this.#path, 'r');
    try {
      for (let length = this.#read(file); length > 0; length = this.#read(file)) {
        this.#offset += length;
        for (const byte of this.#piece.subarray(0, length)) if (byte === newline) this.#lines++;
      }
    } finally {
      closeSync(file);
    }
    return this.#lines;
  }

  #read(file: number): number {
    return readSync(file, this.#piece, 0, this.#piece.length, this.#offset);
  }
}
