import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { Unavailable } from '../rig/questions.js';
import { formatLine, parse } from './reader.js';
import type { Link, Place, Service, Transport } from './transport.js';

const pipeBufBytes = 4_096;

/** A named pipe, 64 KiB by default. Opened for reading and writing, so that neither open waits for the other side. */
export const fifo: Transport = {
  async serve(place, tally): Promise<Service> {
    const address = join(place.directory, 'events.fifo');
    execFileSync('mkfifo', [address]);
    const descriptor = openSync(address, constants.O_RDWR | constants.O_NONBLOCK);
    // A Socket polls the descriptor; a file stream would keep a thread of the pool waiting in read(2).
    const stream = new Socket({ fd: descriptor, readable: true, writable: false });
    stream.on('data', parse(place, tally));
    return {
      address,
      async close() {
        stream.destroy();
      },
    };
  },
  async connect(place: Place, path: string): Promise<Link> {
    if (place.clients > 1 && place.payloadBytes > pipeBufBytes) {
      throw new Unavailable(`what several clients write is mixed above PIPE_BUF=${pipeBufBytes} bytes`);
    }
    const pipe = new PipeEnd(path);
    let waiting = 0;
    let last: Promise<boolean> = Promise.resolve(true);
    const sendLater = (text: string) => {
      waiting++;
      last = last.then(async () => {
        while (!pipe.write(text)) await turn();
        waiting--;
        return true;
      });
      return last;
    };
    return {
      send(line) {
        const text = formatLine(line);
        return (waiting === 0 && pipe.write(text)) || sendLater(text);
      },
      event: (payload) => pipe.write(payload),
      async room() {
        await turn();
      },
      async flush() {
        do await turn();
        while (!pipe.isFlushed());
      },
      async close() {
        pipe.close();
      },
    };
  },
};

/** The pipe takes a message of up to PIPE_BUF whole or not at all; of a longer one it may take a part, and the rest waits here. */
class PipeEnd {
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
