import { watch, writeFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InFlight } from './in-flight.js';
import { formatLine, GrowingFile, parse } from './reader.js';
import type { Link, Place, Transport } from './transport.js';

/** An append opens, writes and closes the file in three tasks of the thread pool; they must not overtake each other. */
const mostInFlight = 64;

/** The classic log volume: the app appends to a file, the sidecar is told by `fs.watch` (inotify) and reads what is new. */
export const fileAppend: Transport = {
  async serve(place, tally) {
    const address = join(place.directory, 'lines.log');
    writeFileSync(address, '');
    const file = new GrowingFile(address, parse(place, tally));
    const watcher = watch(address, () => file.readOn());
    return {
      address,
      collect: async () => file.readOn(),
      async close() {
        watcher.close();
        file.close();
      },
    };
  },
  async connect(_place: Place, path: string): Promise<Link> {
    const inFlight = new InFlight(mostInFlight);
    let last = Promise.resolve();
    const append = (data: string | Uint8Array) => {
      last = last.then(() => appendFile(path, data));
      return last;
    };
    return {
      send: (line) => append(formatLine(line)).then(() => true),
      event(payload) {
        if (inFlight.isFull) return false;
        inFlight.begin();
        append(Buffer.from(payload)).then(
          () => inFlight.end(),
          (error) => inFlight.end(error),
        );
        return true;
      },
      room: () => inFlight.room(),
      flush: () => inFlight.idle(),
      async close() {},
    };
  },
};
