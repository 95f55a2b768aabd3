import { execFileSync } from 'node:child_process';
import { constants, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { formatLine, parse } from './reader.js';
import type { Link, Place, Service, Transport } from './transport.js';

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
  async connect(_place: Place, path: string): Promise<Link> {
    const descriptor = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    // A pipe takes up to PIPE_BUF (4 KiB) whole or not at all.
    const write = (data: string | Uint8Array) => {
      try {
        return writeSync(descriptor, data as string) === data.length;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
        throw error;
      }
    };
    return {
      async send(line) {
        const text = formatLine(line);
        while (!write(text)) await turn();
        return true;
      },
      event: write,
      async room() {
        await turn();
      },
      async close() {},
    };
  },
};
