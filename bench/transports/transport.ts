import type { Latency } from '../rig/histogram.js';
import type { Pattern } from '../rig/lane.js';
import type { Account, LogLine, Lookup, Range } from '../rig/payload.js';
import type { PeerReport } from '../rig/questions.js';
import type { Tally } from '../rig/tally.js';

/**
 * One way of talking to the other process. An adapter moves messages and does nothing else: what they contain and
 * whether they arrived intact is the rig's and the tally's business.
 */
export interface Transport {
  /** Runs in the sidecar process. Absent where the transport brings no second process of ours (`function`, limits). */
  serve?(place: Place, tally: Tally): Promise<Service>;
  /** Runs in the app process, once for each client. */
  connect(place: Place, address: string): Promise<Link>;
}

export interface Place {
  /** A private folder for sockets and files. */
  directory: string;
  /** Every message has this length. */
  payloadBytes: number;
  /** And every item of a stream or an upload this one. */
  itemBytes: number;
  pattern: Pattern;
  /** Nothing is answered; the sidecar only counts. */
  oneWay: boolean;
  /** How many connections the app opens. */
  clients: number;
  /** Several messages may be on their way at once, and events carry the time at which they were planned. */
  openLoop: boolean;
  /** Of the time between two operations, for what has to bring its own loop. */
  gapUs: number;
}

/** The sidecar's end. */
export interface Service {
  /** Handed to `connect` as it is. */
  address: string;
  /** Fetches what does not arrive by itself, before the tally is reported. */
  collect?(): Promise<void>;
  /** CPU time of helper processes so far, where the transport needs one beside the sidecar. */
  helperCpuUs?(): number;
  close(): Promise<void>;
}

/** The app's end: whichever of these the transport offers. Throw `Unavailable` where this machine lacks something. */
export interface Link {
  /**
   * Several may be outstanding at once. The payload's memory is used again when the call has settled, that of the reply may be
   * when the next but one has.
   */
  call?(payload: Uint8Array): Promise<Uint8Array>;
  lookup?(request: Lookup): Promise<Account>;
  callSync?(payload: Uint8Array): Uint8Array;
  /** False: not accepted. A promise only where nothing synchronous exists. */
  send?(line: LogLine): boolean | Promise<boolean>;
  /** Takes a copy of a raw event before it returns; false: no room at the moment, try again after `room()`. */
  event?(payload: Uint8Array): boolean;
  /** Sends a large event that `fill` writes, where it is read if the transport can; false: no room at the moment, and nothing was filled. */
  frame?(length: number, fill: (frame: Uint8Array) => void): boolean;
  room?(): Promise<void>;
  /** Resolves when nothing accepted is waiting in this process, or, where it can be known, before the sidecar. */
  flush?(): Promise<void>;
  /** Has the sidecar send `tally.items(range)`, and resolves at their end. `take` is called for each of them, in order, and keeps none. */
  stream?(range: Range, take: (item: Uint8Array) => void): Promise<void>;
  /** Sends all of them, and resolves when the sidecar has confirmed their end. An item's memory is used again for the next one. */
  upload?(items: Iterable<Uint8Array>): Promise<void>;
  /** Has the sidecar change a state; resolves when `read` gives the new value. */
  publish?(account: Account): Promise<void>;
  read?(): Account | undefined;
  /** Adds one to a number that the sidecar reads whenever it wants to. */
  count?(): void;
  /** Calls back for everything that the sidecar tells all clients. */
  hear?(listener: (news: Uint8Array) => void): void;
  /** Has the sidecar tell all clients something, through `tally.tell`; the answer is what that returns. */
  tell?(request: Uint8Array): Promise<Uint8Array>;
  /** Brings its own loop, for what is not JavaScript. */
  measure?(durationMs: number, warmupMs: number): Promise<OwnMeasurement>;
  /** Where the transport brings the second process itself, and has no `serve`: what that one received. */
  report?(): Promise<PeerReport>;
  /** Counters that only grow; the row shows by how much. */
  counters?(): Record<string, number>;
  close(): Promise<void>;
}

export interface OwnMeasurement {
  count: number;
  batch: number;
  elapsedMs: number;
  cpuUs: number;
  latency: Latency | undefined;
  extras?: Record<string, number>;
}
