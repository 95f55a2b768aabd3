import type { Account } from './payload.js';
import { makeLine, makeLookup, replyMark, requestMark, stamp, verify, verifyAccount } from './payload.js';
import type { Lane } from './questions.js';
import { Unavailable } from './questions.js';
import type { Link } from './transports/transport.js';

/**
 * One operation, written and checked. Two plain functions instead of one asynchronous one: the loop awaits what the
 * transport returned and nothing else, because a promise of our own would cost as much as a fast call.
 */
export interface Exchange {
  issue(): unknown;
  check(reply: unknown): void;
  /** `issue` returns the reply itself; the loop must not await it. */
  readonly isSync: boolean;
  /** How many messages the transport has accepted so far. */
  readonly sent: number;
}

export function createExchange(lane: Lane, link: Link): Exchange {
  const create = { call, lookup, 'call-sync': callSync, send, stream, idle: call }[lane.pattern];
  return create(lane, link);
}

function call(lane: Lane, link: Link): Exchange {
  return echo(lane, offered(lane, link.call), false);
}

function callSync(lane: Lane, link: Link): Exchange {
  return echo(lane, offered(lane, link.callSync), true);
}

function echo(lane: Lane, operate: (payload: Uint8Array) => unknown, isSync: boolean): Exchange {
  const payload = makePayload(lane);
  let sent = 0;
  return {
    isSync,
    get sent() {
      return sent;
    },
    issue() {
      stamp(payload, ++sent, requestMark);
      return operate(payload);
    },
    check: (reply) => verify(reply as Uint8Array, payload.length, sent, replyMark),
  };
}

function lookup(lane: Lane, link: Link): Exchange {
  const operate = offered(lane, link.lookup);
  let sent = 0;
  return {
    isSync: false,
    get sent() {
      return sent;
    },
    issue: () => operate(makeLookup(++sent)),
    check: (reply) => verifyAccount(reply as Account, sent),
  };
}

function send(lane: Lane, link: Link): Exchange {
  const operate = offered(lane, link.send);
  let sent = 0;
  return {
    isSync: false,
    get sent() {
      return sent;
    },
    issue: () => operate(makeLine(++sent)),
    check(accepted) {
      if (accepted !== true) throw new Error(`line ${sent} was not accepted`);
    },
  };
}

/** Events as fast as they are taken: one that was not accepted keeps its number and is offered again. */
function stream(lane: Lane, link: Link): Exchange {
  const operate = offered(lane, link.stream);
  const payload = makePayload(lane);
  let sent = 0;
  return {
    isSync: true,
    get sent() {
      return sent;
    },
    issue() {
      stamp(payload, sent + 1, requestMark);
      const accepted = operate(payload);
      if (accepted) sent++;
      return accepted;
    },
    check() {},
  };
}

function offered<T>(lane: Lane, operation: T | undefined): T {
  if (operation === undefined) throw new Unavailable(`${lane.transport} offers no ${lane.pattern}`);
  return operation;
}

/** Not from Buffer's pool: its neighbours would share the cache lines. */
function makePayload(lane: Lane): Uint8Array {
  return Buffer.alloc(lane.payloadBytes, 0x70);
}
