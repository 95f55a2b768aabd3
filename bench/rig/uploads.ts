import type { Link } from '../transports/transport.js';
import { numberedItems } from './conversation.js';
import type { Numbering } from './exchange.js';
import type { Lane } from './lane.js';
import { offered } from './offered.js';
import { blankPayload } from './payload.js';

/** 64 MiB in items that are large enough to be in the way. */
const itemCount = 64;
export const uploadItemBytes = 2 ** 20;

/** One upload after the other, as the background of something else. */
export class Uploads {
  readonly #send: NonNullable<Link['upload']>;
  readonly #numbering: Numbering;
  /** One for all: what this process allocates and collects besides is no cost of the transport. */
  readonly #item = blankPayload(uploadItemBytes);
  #isWanted = true;
  #itemCount = 0;
  #elapsedMs = 0;

  constructor(lane: Lane, link: Link, numbering: Numbering) {
    this.#send = offered(lane, link.upload);
    this.#numbering = numbering;
  }

  /** Of what was uploaded meanwhile. */
  get uploadMibPerSec(): number {
    return this.#elapsedMs === 0 ? 0 : ((this.#itemCount * uploadItemBytes) / 2 ** 20 / this.#elapsedMs) * 1_000;
  }

  /** Uploads from the beginning of `work` to its end. Fails with whichever of them fails. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const begun = performance.now();
    const uploads = this.#untilUnwanted();
    try {
      return (await Promise.all([work().finally(this.#stop), uploads.finally(this.#stop)]))[0];
    } finally {
      this.#elapsedMs = performance.now() - begun;
    }
  }

  readonly #stop = () => {
    this.#isWanted = false;
  };

  async #untilUnwanted(): Promise<void> {
    while (this.#isWanted) await this.#send(this.#items());
  }

  *#items(): Generator<Uint8Array, void> {
    for (const item of numberedItems(this.#item, itemCount, this.#numbering, () => this.#isWanted)) {
      this.#itemCount++;
      yield item;
    }
  }
}
