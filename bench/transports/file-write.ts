import { closeSync, fstatSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCompanion } from './companion.js';
import { formatLine, GrowingFile, parse } from './reader.js';
import type { Link, Service, Transport } from './transport.js';

/** Of /proc/<pid>/stat on every Linux that Node runs on. */
const usPerClockTick = 10_000;
const patienceMs = 4_000;

/** The app writes to an open descriptor; the sidecar reads it all afterwards. What remains is the cost of the write itself. */
export const fileWrite: Transport = {
  async serve(place, tally) {
    const address = join(place.directory, 'lines.log');
    writeFileSync(address, '');
    const file = new GrowingFile(address, parse(place, tally));
    return { address, collect: async () => file.readOn(), close: async () => file.close() };
  },
  connect: async (_place, path) => openForWriting(path),
};

/** The same with a sidecar that follows with tail(1), as many log shippers began. */
export const fileTail: Transport = {
  async serve(place, tally): Promise<Service> {
    const address = join(place.directory, 'lines.log');
    writeFileSync(address, '');
    const descriptor = openSync(address, 'r');
    const tail = startCompanion('tail', ['-c', '+1', '-f', address], ['ignore', 'pipe', 'ignore']);
    const take = parse(place, tally);
    let readBytes = 0;
    tail.stdout?.on('data', (chunk: Buffer) => {
      readBytes += chunk.length;
      take(chunk);
    });
    return {
      address,
      async collect() {
        const deadline = performance.now() + patienceMs;
        while (readBytes < fstatSync(descriptor).size && performance.now() < deadline) await sleep(1);
      },
      helperCpuUs: () => cpuUsOf(tail.pid),
      async close() {
        tail.kill('SIGKILL');
        closeSync(descriptor);
      },
    };
  },
  connect: async (_place, path) => openForWriting(path),
};

function openForWriting(path: string): Link {
  const descriptor = openSync(path, 'a');
  return {
    send(line) {
      const text = formatLine(line);
      return writeSync(descriptor, text) === text.length;
    },
    event: (payload) => writeSync(descriptor, payload) === payload.length,
    async close() {
      closeSync(descriptor);
    },
  };
}

function cpuUsOf(pid: number | undefined): number {
  try {
    // The name in brackets may contain blanks; what follows it doesn't.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * usPerClockTick;
  } catch {
    return 0;
  }
}
