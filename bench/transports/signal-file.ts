import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { formatLine, GrowingFile, parse } from './reader.js';
import type { Link, Place, Transport } from './transport.js';

const signal = 'SIGUSR2';

/** The app writes to a file and sends a signal; the sidecar reads on. Signals that come close together become one, so it reads to the end. */
export const signalFile: Transport = {
  async serve(place, tally) {
    const path = join(place.directory, 'lines.log');
    writeFileSync(path, '');
    const file = new GrowingFile(path, parse(place, tally));
    const readOn = () => file.readOn();
    process.on(signal, readOn);
    return {
      address: `${process.pid} ${path}`,
      collect: async () => readOn(),
      async close() {
        process.off(signal, readOn);
        file.close();
      },
    };
  },
  async connect(_place: Place, address: string): Promise<Link> {
    const [pid, path] = address.split(' ') as [string, string];
    const descriptor = openSync(path, 'a');
    const write = (data: string | Uint8Array) => {
      const isWhole = writeSync(descriptor, data as string) === data.length;
      notify(Number(pid));
      return isWhole;
    };
    return {
      send: (line) => write(formatLine(line)),
      event: write,
      async close() {
        closeSync(descriptor);
      },
    };
  },
};

function notify(pid: number): void {
  try {
    process.kill(pid, signal);
  } catch (cause) {
    throw new Error(`the sidecar is gone: pid=${pid} could not be sent ${signal}`, { cause });
  }
}
