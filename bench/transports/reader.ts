import { closeSync, openSync, readSync } from 'node:fs';
import type { LogLine } from '../rig/payload.js';
import type { Tally } from '../rig/tally.js';
import { assemble } from './assemble.js';
import type { Place } from './transport.js';

/** What arrives in files and pipes: raw events of one length, or log lines as lines of JSON. */
export function parse(place: Place, tally: Tally): (chunk: Uint8Array) => void {
  return place.pattern === 'event' ? assemble(place.payloadBytes, (payload) => tally.take(payload)) : parseLines(tally);
}

export function formatLine(line: LogLine): string {
  return `${JSON.stringify(line)}\n`;
}

function parseLines(tally: Tally): (chunk: Uint8Array) => void {
  let rest = '';
  return (chunk) => {
    const lines = (rest + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1')).split('\n');
    rest = lines.pop() as string;
    for (const line of lines) tally.line(JSON.parse(line) as LogLine);
  };
}

/** Reads what a growing file has gained. */
export class GrowingFile {
  readonly #descriptor: number;
  readonly #take: (chunk: Uint8Array) => void;
  readonly #chunk = Buffer.allocUnsafeSlow(64 * 1_024);

  constructor(path: string, take: (chunk: Uint8Array) => void) {
    this.#descriptor = openSync(path, 'r');
    this.#take = take;
  }

  readOn(): void {
    for (;;) {
      const length = readSync(this.#descriptor, this.#chunk, 0, this.#chunk.length, null);
      if (length === 0) return;
      this.#take(this.#chunk.subarray(0, length));
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
