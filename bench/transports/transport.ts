import type { Latency } from '../histogram.js';
import type { Account, LogLine, Lookup } from '../payload.js';
import type { Tally } from '../tally.js';

/**
 * One way of talking to the other process. An adapter moves messages and does nothing else: what they contain and
 * whether they arrived intact is the rig's and the tally's business.
 */
export interface Transport {
  /** Runs in the sidecar process. Absent where the transport brings no second process of ours (`function`, `limit`). */
  serve?(place: Place, tally: Tally): Promise<Service>;
  /** Runs in the app process. */
  connect(place: Place, address: string): Promise<Link>;
}

export interface Place {
  /** A private folder for sockets and files. */
  directory: string;
  payloadBytes: number;
  /** Nothing is answered; the sidecar only counts. */
  oneWay: boolean;
}

/** The sidecar's end. */
export interface Service {
  address: string;
  /** Fetches what does not arrive by itself, before the tally is reported. */
  collect?(): Promise<void>;
  close(): Promise<void>;
}

/** The app's end: whichever of these the transport offers. */
export interface Link {
  call?(payload: Uint8Array): Promise<Uint8Array>;
  lookup?(request: Lookup): Promise<Account>;
  callSync?(payload: Uint8Array): Uint8Array;
  /** False: not accepted. A promise only where nothing synchronous exists. */
  send?(line: LogLine): boolean | Promise<boolean>;
  /** Takes a copy of a raw event; false: no room at the moment, try again after `room()`. */
  stream?(payload: Uint8Array): boolean;
  room?(): Promise<void>;
  /** Resolves when nothing accepted is waiting in this process, or, where it can be known, before the sidecar. */
  flush?(): Promise<void>;
  /** Brings its own loop, for what is not JavaScript. */
  measure?(durationMs: number, warmupMs: number): Promise<OwnMeasurement>;
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
}
