/** What the processes of a measurement agree on: what to measure, for how long, and what was found. */

import type { Latency } from './histogram.js';

/**
 * `event`: raw bytes, one way. `send`: a log line, one way; what counts is the cost on the app's thread. `stream`, `upload`: items to the app, or from
 * it. `read`: the value of a state. `count`: a number that the
 * sidecar can read. `frame`: large events of which each byte is written
 * and read. `fan-out`: one broadcast to all clients, seen from the sidecar. `beside-upload`: calls, alone and then while
 * the same connection uploads. `crowd`: nothing for half of the time, then calls.
 */
export type Pattern =
  | 'call'
  | 'lookup'
  | 'call-sync'
  | 'send'
  | 'event'
  | 'idle'
  | 'stream'
  | 'upload'
  | 'read'
  | 'count'
  | 'frame'
  | 'fan-out'
  | 'beside-upload'
  | 'crowd';

/**
 * `free`: the scheduler decides. `held`: both start free, and each side is then held on a CPU of its own, as a scheduler with idle CPUs would leave
 * them. `apart`: each side is started on a single CPU of its own, and knows it. `together`: both on the same one, where a wake-up is
 * cheapest for whoever sleeps between messages.
 */
export type Placement = 'free' | 'held' | 'apart' | 'together';

/** Everything about a measurement but the transport: rows with equal conditions may be compared. */
export interface Conditions {
  pattern: Pattern;
  payloadBytes: number;
  /** Closed loop: rest between two operations. 0: the next one starts when the last one was answered. */
  gapUs: number;
  /** Open loop: operations start at planned times, answered or not, and latency counts from the planned time. 0: closed loop. */
  ratePerSec: number;
  /** Connections of the one app process; each has a loop of its own. */
  clients: number;
  /** Connections beside those, of other processes, that do nothing. */
  idleClients: number;
  /** Share of its time in which the app's event loop does something else. */
  busyShare: number;
  /** One other process for each CPU wants all of it. */
  cpuLoad: boolean;
  placement: Placement;
}

/** One scenario on one transport, as the app process has to know it. */
export interface Lane extends Conditions {
  /** A name from the list of transports, or the path of a module with a transport as its default export. */
  transport: string;
  /** Folder of this lane alone, for sockets and files. */
  directory: string;
}

export interface RoundPlan {
  /** Full speed, whatever the lane's gap: gives the compiler its time. Only a lane's first round needs it. */
  runInMs: number;
  /** The run-in is repeated, three times at most, until so many operations are done: code that takes long for each of them is hot later. */
  runInOperations?: number;
  /** At the lane's own pace, before every measurement. */
  warmupMs: number;
  durationMs: number;
}

/** What one round found. */
export interface Outcome {
  count: number;
  /** Operations per latency sample. */
  batch: number;
  opsPerSec: number;
  appCpuUs: number;
  sidecarCpuUs: number;
  /** Context switches of both processes, wanted and unwanted. */
  switches: number;
  latency: Latency | undefined;
  /** What only some scenarios or transports know, such as doorbells. */
  extras: Record<string, number>;
}
