/** What the app and a second process or thread that it started itself say to each other, over the channel that is measured. */

import type { Account, Lookup } from '../rig/payload.js';
import { sequenceOf } from '../rig/payload.js';
import type { PeerReport } from '../rig/questions.js';
import type { Tally } from '../rig/tally.js';
import { asBuffer } from './as-buffer.js';
import { InFlight } from './in-flight.js';
import { PendingCalls } from './pending.js';
import type { Link } from './transport.js';

export type Packed = Uint8Array | string;

/** One letter each, because JSON carries them in every message: bytes to answer, an event, a lookup, a wish for the report. */
export type Message = { b: Packed } | { e: Packed } | { l: Lookup } | { r: true };

export interface Packing {
  pack(bytes: Uint8Array): Packed;
  unpack(packed: Packed): Uint8Array;
}

/** JSON has no bytes; base64 is what most people use. */
export const base64: Packing = {
  pack: (bytes) => asBuffer(bytes).toString('base64'),
  unpack: (text) => Buffer.from(text as string, 'base64'),
};

export const asBytes: Packing = { pack: (bytes) => bytes, unpack: (bytes) => bytes as Uint8Array };

const mostInFlight = 256;

/** Answers one message in the second process. */
export function answerMessage(message: Message, tally: Tally, { pack, unpack }: Packing, reply: (value: unknown) => void): void {
  if ('b' in message) reply(pack(tally.answer(unpack(message.b))));
  else if ('l' in message) reply(tally.lookup(message.l));
  else if ('r' in message) reply(tally.report());
  else {
    const payload = unpack(message.e);
    tally.take(payload);
    if (sequenceOf(payload) % mostInFlight === 0) reply(null);
  }
}

interface Wire {
  /** Serialises before it returns: no copy is needed, and one in Node's pool would make `postMessage` clone the whole pool. */
  send(message: Message): void;
  close(): Promise<void>;
}

/** The app's end. Events are acknowledged by the hundred, or the queue of a fast sender would grow without end. */
export class PeerLink {
  readonly #pending = new PendingCalls<unknown>();
  readonly #inFlight = new InFlight(2 * mostInFlight);

  /** To be called with everything that arrives. */
  receive(value: unknown): void {
    if (value !== null) {
      this.#pending.settle(value);
      return;
    }
    for (let i = 0; i < mostInFlight; i++) this.#inFlight.end();
  }

  fail(error: Error): void {
    this.#pending.fail(error);
    this.#inFlight.fail(error);
  }

  link(wire: Wire, { pack, unpack }: Packing): Link {
    return {
      call: async (payload) => unpack((await this.#ask(wire, { b: pack(payload) })) as Packed),
      lookup: (request) => this.#ask(wire, { l: request }) as Promise<Account>,
      event: (payload) => {
        if (this.#inFlight.isFull) return false;
        this.#inFlight.begin();
        wire.send({ e: pack(payload) });
        return true;
      },
      room: () => this.#inFlight.room(),
      report: () => this.#ask(wire, { r: true }) as Promise<PeerReport>,
      close: () => wire.close(),
    };
  }

  #ask(wire: Wire, message: Message): Promise<unknown> {
    wire.send(message);
    return this.#pending.add();
  }
}
