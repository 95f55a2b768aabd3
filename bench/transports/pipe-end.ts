import { closeSync, constants, openSync, writeSync } from 'node:fs';

/** The pipe takes a message of up to PIPE_BUF whole or not at all; of a longer one it may take a part, and the rest waits here. */
export class PipeEnd {
  readonly #descriptor: number;
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string) {
    this.#descriptor = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  }

  /** False: the pipe is full, and nothing was taken. */
  write(data: string | Uint8Array): boolean {
    if (!this.isFlushed()) return false;
    const written = this.#tryToWrite(data);
    if (written > 0 && written < Buffer.byteLength(data)) this.#rest = Buffer.from(data as Uint8Array).subarray(written);
    return written > 0;
  }

  isFlushed(): boolean {
    if (this.#rest.length > 0) this.#rest = this.#rest.subarray(this.#tryToWrite(this.#rest));
    return this.#rest.length === 0;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #tryToWrite(data: string | Uint8Array): number {
    try {
      return writeSync(this.#descriptor, data as string);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
      throw error;
    }
  }
}
