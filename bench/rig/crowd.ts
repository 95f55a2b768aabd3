import type { Place } from '../transports/transport.js';
import { Child } from './child.js';

/** So that one process does not hold all of the descriptors. */
const mostPerProcess = 250;
const timeoutMs = 20_000;

interface Group {
  child: Child;
  size: number;
}

/** Connections of other processes that do nothing until they are asked whether they are still there. */
export class Crowd {
  readonly #groups: readonly Group[];

  private constructor(groups: readonly Group[]) {
    this.#groups = groups;
  }

  static async gather(transport: string, place: Place, address: string, size: number): Promise<Crowd> {
    const sizes = Array.from({ length: Math.ceil(size / mostPerProcess) }, (_, index) =>
      Math.min(mostPerProcess, size - index * mostPerProcess),
    );
    const groups = sizes.map((own) => ({ child: new Child('crowd', new URL('./crowd-peer.js', import.meta.url)), size: own }));
    // One after the other: a thousand handshakes at once would only queue for the sidecar.
    for (const { child, size: count } of groups) await child.ask('gather', { transport, place, address, count }, timeoutMs);
    return new Crowd(groups);
  }

  /** Each connection makes one call, numbered from `first` on; fails when one of them can't. */
  async wake(first: number): Promise<void> {
    let next = first;
    for (const { child, size } of this.#groups) {
      await child.ask('wake', { first: next }, timeoutMs);
      next += size;
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#groups.map(({ child }) => child.end()));
  }
}
