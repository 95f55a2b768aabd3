import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LogLine } from '../payload.js';
import type { Tally } from '../tally.js';
import type { Link, Place, Service, Transport } from './transport.js';

/** The classic log volume: the app appends lines of JSON to a file, the sidecar reads them afterwards. */
export const fileAppend: Transport = {
  serve,
  async connect(_place: Place, path: string): Promise<Link> {
    return {
      async send(line) {
        await appendFile(path, format(line));
        return true;
      },
      async close() {},
    };
  },
};

export const fileWrite: Transport = {
  serve,
  async connect(_place: Place, path: string): Promise<Link> {
    const descriptor = openSync(path, 'a');
    return {
      send(line) {
        const text = format(line);
        return writeSync(descriptor, text) === text.length;
      },
      async close() {
        closeSync(descriptor);
      },
    };
  },
};

function format(line: LogLine): string {
  return `${JSON.stringify(line)}\n`;
}

async function serve(place: Place, tally: Tally): Promise<Service> {
  const address = join(place.directory, 'lines.log');
  await writeFile(address, '');
  const descriptor = openSync(address, 'r+');
  return {
    address,
    /** The app rests while a report is made, so nothing is written between the reading and the emptying. */
    async collect() {
      const lines = readFileSync(address, 'utf8').split('\n');
      lines.pop();
      for (const line of lines) tally.line(JSON.parse(line) as LogLine);
      ftruncateSync(descriptor);
    },
    async close() {
      closeSync(descriptor);
    },
  };
}
