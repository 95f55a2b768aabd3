import { randomUUID } from 'node:crypto';
import type { PeerRules } from './channel/peer.js';
import { resolveSocketPath } from './channel/socket-path.js';
import { type Contract, type Definitions, metricsOf } from './contract.js';
import { createRegion } from './counters/region.js';
import { CounterTable } from './counters/table.js';
import type { ClientMiddleware } from './middleware.js';
import {
  addonFor,
  arenaBytesOption,
  configureWaiting,
  counterBytesOption,
  DEFAULT_CALL_TIMEOUT_MS,
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  DEFAULT_MAX_MESSAGE_BYTES,
  DEFAULT_WINDOW_BYTES,
  integerOption,
  LIBRARY_RUNTIME,
  ringBytesOption,
  timeoutOption,
  type WaitPreset,
} from './options.js';
import { MAX_RING_BYTES } from './ring/layout.js';
import type { SessionOptions } from './session/client-session.js';
import { defaultChecksViews } from './session/view-checks.js';

export interface ConnectOptions extends PeerRules {
  /** What every message goes through before it is sent, the first one outermost. */
  use?: readonly ClientMiddleware[];
  /** The sidecar's socket. Default: `PILLION_SOCKET`, else `<runtime dir>/pillion/<contract>.sock`. */
  path?: string;
  /** `auto` (default): shared memory where possible. `socket`: always the socket. */
  transport?: 'auto' | 'socket';
  /** Sizes of the two rings, powers of two; 256 KiB each by default. `toServer` bounds how much is buffered while no sidecar is there. */
  ringBytes?: { toServer?: number; toClient?: number };
  /** Memory for claims, a multiple of 4,096 and at most the sidecar's `maxArenaBytes`; 0 by default: claims work, and are copied once when they are committed. */
  arenaBytes?: number;
  /**
   * Claims get a view of their own, which becomes unusable when the claim is over, and whose bytes are copied into the arena on commit. Finds writes that come too late,
   * and costs what claiming saves. Default: unless NODE_ENV is "production".
   */
  checkViews?: boolean;
  /** Memory for the contract's counters, a multiple of 4,096; 64 KiB by default, enough for about 1,000 sets of labels. */
  counterBytes?: number;
  /** The largest message in either direction; 16 MiB by default. */
  maxMessageBytes?: number;
  /** Bytes in the ring to the sidecar above which `client.needsDrain` is true until `drain` is emitted; half of that ring by default. */
  highWaterMark?: number;
  /** Bytes of items of one stream that the sidecar may have on their way to a reader that has not read them; 256 KiB by default. */
  windowBytes?: number;
  /** How long `call` and `callSync` wait if they are not told; 5,000 ms by default. */
  callTimeoutMs?: number;
  /** How long a sidecar that accepted may take to answer the handshake; 5,000 ms by default. */
  handshakeTimeoutMs?: number;
  /** How this thread waits for messages; applies to all connections of the thread. */
  wait?: WaitPreset;
}

/** What `connect` works with, besides the contract. */
export interface ClientSettings {
  path: string;
  /** Null if the contract has none. */
  counters: CounterTable | null;
  callTimeoutMs: number;
  windowBytes: number;
  maxMessageBytes: number;
  ringBytes: number;
  /** All but the name table. */
  session: Omit<SessionOptions, 'hello'> & { hello: Omit<SessionOptions['hello'], 'names'> };
}

/** Checks what `connect` was given and fills in the defaults. */
export function checkConnectOptions({ name: contractName, definitions }: Contract<Definitions>, options: ConnectOptions): ClientSettings {
  const path = resolveSocketPath(options.path, contractName);
  const callTimeoutMs = timeoutOption('callTimeoutMs', options.callTimeoutMs, DEFAULT_CALL_TIMEOUT_MS);
  const { addon, reason } = addonFor(options.transport);
  const { maySpin } = configureWaiting(addon, options.wait, undefined);
  const ringBytes = [
    ringBytesOption('ringBytes.toServer', options.ringBytes?.toServer),
    ringBytesOption('ringBytes.toClient', options.ringBytes?.toClient),
  ] as [number, number];
  const maxMessageBytes = integerOption('maxMessageBytes', options.maxMessageBytes, DEFAULT_MAX_MESSAGE_BYTES, 1, MAX_RING_BYTES);
  const arenaBytes = arenaBytesOption(options.arenaBytes);
  const counterBytes = counterBytesOption(options.counterBytes);
  const metrics = metricsOf(definitions);
  const counters = metrics.length > 0 ? new CounterTable(contractName, metrics, createRegion(addon, reason, counterBytes)) : null;
  return {
    path,
    counters,
    callTimeoutMs,
    windowBytes: integerOption('windowBytes', options.windowBytes, DEFAULT_WINDOW_BYTES, 1, MAX_RING_BYTES),
    maxMessageBytes,
    ringBytes: ringBytes[0],
    session: {
      path,
      addon,
      isSocketWanted: options.transport === 'socket',
      noShmReason: reason,
      maySpin,
      ringBytes,
      arenaBytes,
      checksViews: options.checkViews ?? defaultChecksViews(),
      counterDescriptor: counters?.descriptor ?? -1,
      maxMessageBytes,
      highWaterMark: integerOption('highWaterMark', options.highWaterMark, ringBytes[0] / 2, 0, ringBytes[0]),
      handshakeTimeoutMs: integerOption('handshakeTimeoutMs', options.handshakeTimeoutMs, DEFAULT_HANDSHAKE_TIMEOUT_MS, 1, 3_600_000),
      ...(options.allow === undefined ? {} : { allow: options.allow }),
      ...(options.authorize === undefined ? {} : { authorize: options.authorize }),
      hello: {
        contract: contractName,
        clientId: randomUUID(),
        ringBytes,
        arenaBytes,
        maxMessageBytes,
        features: [],
        pid: process.pid,
        runtime: LIBRARY_RUNTIME,
        ...counters?.offer(),
      },
    },
  };
}
