/** The operations of streams, states and broadcasts. One of them may be many, as `operationsIn` says. */

import type { Link } from '../transports/transport.js';
import type { Exchange, Numbering } from './exchange.js';
import type { Lane } from './lane.js';
import { offered } from './offered.js';
import type { Account, Range } from './payload.js';
import { blankPayload, fillFrame, makeAccount, makeLookup, replyMark, requestMark, stamp, verify, verifyAccount } from './payload.js';

/** A stream is long enough that opening it costs nothing to speak of, and short enough that several fit into a round. */
const streamBytes = 8 * 2 ** 20;
const fewestItems = 16;
const mostItems = 16_384;
/** Of what takes some nanoseconds: as many between two readings of the clock. */
const tightPerSample = 1_024;

/** How many operations the row counts for one that is issued, or for one sample of those that are too short; undefined: that depends. */
export function operationsIn({ pattern, payloadBytes, clients }: Lane): number | undefined {
  if (pattern === 'stream' || pattern === 'upload') return itemsPerStream(payloadBytes);
  if (pattern === 'read' || pattern === 'count') return tightPerSample;
  return pattern === 'fan-out' ? clients : undefined;
}

function itemsPerStream(payloadBytes: number): number {
  return Math.min(mostItems, Math.max(fewestItems, Math.round(streamBytes / payloadBytes)));
}

/** A whole stream from the sidecar. What is lost or doubled shows in the numbers, what is damaged in the marks. */
export function stream(lane: Lane, link: Link): Exchange {
  const open = offered(lane, link.stream);
  const count = itemsPerStream(lane.payloadBytes);
  let next = 1;
  return {
    isSync: false,
    async issue() {
      const range = { first: next, count };
      await readAll(open, range, (item) => verify(item, lane.payloadBytes, next++, replyMark));
      if (next !== range.first + count) throw new Error(`a stream of ${count} items brought ${next - range.first}`);
    },
    check() {},
  };
}

/** Adapters call back from wherever bytes arrive, and nothing there waits for an error. */
function readAll(open: NonNullable<Link['stream']>, range: Range, take: (item: Uint8Array) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const takeOrFail = (item: Uint8Array) => {
      try {
        take(item);
      } catch (error) {
        reject(error);
      }
    };
    open(range, takeOrFail).then(resolve, reject);
  });
}

/** A whole upload. */
export function upload(lane: Lane, link: Link, numbering: Numbering): Exchange {
  const send = offered(lane, link.upload);
  const count = itemsPerStream(lane.payloadBytes);
  const item = blankPayload(lane.payloadBytes);
  return { isSync: false, issue: () => send(numberedItems(item, count, numbering)), check() {} };
}

/** All in the same memory: each is valid until the next one is asked for. It counts as sent from when it is taken. */
export function* numberedItems(item: Uint8Array, count: number, numbering: Numbering, isWanted = () => true): Generator<Uint8Array, void> {
  for (let i = 0; i < count && isWanted(); i++) {
    stamp(item, ++numbering.sent, requestMark);
    yield item;
  }
}

/** The value that the sidecar was last asked to set, and no older one. */
export function read(lane: Lane, link: Link, numbering: Numbering): Exchange {
  const look = offered(lane, link.read);
  const publish = offered(lane, link.publish);
  let id = 0;
  return {
    isSync: true,
    async renew() {
      id = ++numbering.sent;
      await publish(makeAccount(makeLookup(id)));
      verifyAccount(look() as Account, id);
    },
    issue: look,
    check(account) {
      if ((account as Account | undefined)?.id !== id) throw new Error(`value ${id} was set, and another one read`);
    },
  };
}

/** The sidecar has to find as many as were counted. */
export function count(lane: Lane, link: Link, numbering: Numbering): Exchange {
  const add = offered(lane, link.count);
  return {
    isSync: true,
    issue() {
      numbering.sent++;
      add();
    },
    check() {},
  };
}

/** A large event, filled anew each time. One for which there is no room keeps its number and is offered again. */
export function frame(lane: Lane, link: Link, numbering: Numbering): Exchange {
  const send = offered(lane, link.frame);
  const fill = (bytes: Uint8Array) => fillFrame(bytes, numbering.sent + 1);
  return {
    isSync: true,
    issue() {
      const accepted = send(lane.payloadBytes, fill);
      if (accepted) numbering.sent++;
      return accepted;
    },
    check() {},
  };
}

/** One message to all clients. The operation is over when each of them has it. */
export function fanOut(lane: Lane, links: readonly Link[], numbering: Numbering): Exchange {
  const tell = offered(lane, links[0]?.tell);
  const payload = blankPayload(lane.payloadBytes);
  const heardUpTo = links.map(() => 0);
  let sequence = 0;
  let missing = 0;
  let settle = { resolve() {}, reject(_: unknown) {} };
  for (const [index, link] of links.entries()) {
    offered(
      lane,
      link.hear,
    )((news) => {
      try {
        if (heardUpTo[index] === sequence) throw new Error(`a client heard news ${sequence} twice`);
        verify(news, lane.payloadBytes, sequence, replyMark);
        heardUpTo[index] = sequence;
        if (--missing === 0) settle.resolve();
      } catch (error) {
        settle.reject(error);
      }
    });
  }
  return {
    isSync: false,
    async issue() {
      sequence = ++numbering.sent;
      missing = links.length;
      stamp(payload, sequence, requestMark);
      const everybodyHeard = new Promise<void>((resolve, reject) => {
        settle = { resolve, reject };
      });
      const [reply] = await Promise.all([tell(payload), everybodyHeard]);
      return reply;
    },
    check: (reply) => verify(reply as Uint8Array, lane.payloadBytes, sequence, replyMark),
  };
}
