import { execFileSync } from 'node:child_process';
import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { Unavailable } from '../rig/questions.js';
import { PipeEnd } from './pipe-end.js';
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
