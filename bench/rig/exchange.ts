import type { Link } from '../transports/transport.js';
import { count, fanOut, frame, read, stream, upload } from './conversation.js';
import type { Lane, Pattern } from './lane.js';
import { offered } from './offered.js';
import type { Account } from './payload.js';
import { blankPayload, makeLine, makeLookup, replyMark, requestMark, stamp, stampPlanned, verify, verifyAccount } from './payload.js';

/** Numbers the messages of all clients of a lane. */
export interface Numbering {
  /** How many messages the transports have accepted so far. */
  sent: number;
}

/**
 * The operations of one client, written and checked. Two plain functions instead of one asynchronous one: the loop awaits what
 * the transport returned and nothing else, because a promise of our own would cost as much as a fast call.
 */
export interface Exchange {
  /** `plannedUs` on the shared clock, where latency counts from; 0 in a closed loop. */
  issue(plannedUs: number): unknown;
  /** Of the oldest operation that was issued and not checked. */
  check(reply: unknown): void;
  /** Between samples: changes what is read. */
  renew?(): Promise<void>;
  /** `issue` returns the reply itself; the loop must not await it. */
  readonly isSync: boolean;
}

/** One for each link, but for what all of them do together. */
export function createExchanges(lane: Lane, links: readonly Link[], numbering: Numbering): Exchange[] {
  const { pattern } = lane;
  if (pattern === 'fan-out') return [fanOut(lane, links, numbering)];
  return links.map((link) => creators[pattern](lane, link, numbering));
}

type Create = (lane: Lane, link: Link, numbering: Numbering) => Exchange;

const creators: Record<Exclude<Pattern, 'fan-out'>, Create> = {
  call,
  lookup,
  'call-sync': callSync,
  send,
  event,
  idle: call,
  stream,
  upload,
  read,
  count,
  frame,
  'beside-upload': call,
  crowd: call,
};

function call(lane: Lane, link: Link, numbering: Numbering): Exchange {
  const operate = offered(lane, link.call);
  if (lane.ratePerSec === 0) return echo(lane, operate, false, numbering);
  const payloads = new Payloads(lane);
  return {
    isSync: false,
    async issue() {
      const payload = payloads.take();
      const sequence = ++numbering.sent;
      stamp(payload, sequence, requestMark);
      verify(await operate(payload), payload.length, sequence, replyMark);
      payloads.give(payload);
    },
    check() {},
  };
}

function callSync(lane: Lane, link: Link, numbering: Numbering): Exchange {
  return echo(lane, offered(lane, link.callSync), true, numbering);
}

/** One outstanding operation, so one payload is enough. */
function echo(lane: Lane, operate: (payload: Uint8Array) => unknown, isSync: boolean, numbering: Numbering): Exchange {
  const payload = blankPayload(lane.payloadBytes);
  let sequence = 0;
  return {
    isSync,
    issue() {
      sequence = ++numbering.sent;
      stamp(payload, sequence, requestMark);
      return operate(payload);
    },
    check: (reply) => verify(reply as Uint8Array, payload.length, sequence, replyMark),
  };
}

function lookup(lane: Lane, link: Link, numbering: Numbering): Exchange {
  const operate = offered(lane, link.lookup);
  let sequence = 0;
  if (lane.ratePerSec > 0) {
    return {
      isSync: false,
      async issue() {
        const own = ++numbering.sent;
        verifyAccount(await operate(makeLookup(own)), own);
      },
      check() {},
    };
  }
  return {
    isSync: false,
    issue() {
      sequence = ++numbering.sent;
      return operate(makeLookup(sequence));
    },
    check: (reply) => verifyAccount(reply as Account, sequence),
  };
}

function send(lane: Lane, link: Link, numbering: Numbering): Exchange {
  const operate = offered(lane, link.send);
  return {
    isSync: false,
    issue: () => operate(makeLine(++numbering.sent)),
    check(accepted) {
      if (accepted !== true) throw new Error(`line ${numbering.sent} was not accepted`);
    },
  };
}

/** One that was not accepted keeps its number and is offered again. */
function event(lane: Lane, link: Link, numbering: Numbering): Exchange {
  const operate = offered(lane, link.event);
  const payload = blankPayload(lane.payloadBytes);
  const isOpenLoop = lane.ratePerSec > 0;
  return {
    isSync: true,
    issue(plannedUs) {
      stamp(payload, numbering.sent + 1, requestMark);
      if (isOpenLoop) stampPlanned(payload, plannedUs);
      const accepted = operate(payload);
      if (accepted) numbering.sent++;
      return accepted;
    },
    check() {},
  };
}

/** A payload belongs to its call until that has settled. */
class Payloads {
  readonly #lane: Lane;
  readonly #free: Uint8Array[] = [];

  constructor(lane: Lane) {
    this.#lane = lane;
  }

  take(): Uint8Array {
    return this.#free.pop() ?? blankPayload(this.#lane.payloadBytes);
  }

  give(payload: Uint8Array): void {
    this.#free.push(payload);
  }
}
