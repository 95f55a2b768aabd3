import { randomUUID } from 'node:crypto';
import type { PeerRules } from './channel/peer.js';
import { resolveSocketPath } from './channel/socket-path.js';
import {
  addonFor,
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

export interface ConnectOptions extends PeerRules {
  /** The sidecar's socket. Default: `PILLION_SOCKET`, else `<runtime dir>/pillion/<contract>.sock`. */
  path?: string;
  /** `auto` (default): shared memory where possible. `socket`: always the socket. */
  transport?: 'auto' | 'socket';
  /** Sizes of the two rings, powers of two; 256 KiB each by default. `toServer` bounds how much is buffered while no sidecar is there. */
  ringBytes?: { toServer?: number; toClient?: number };
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
  callTimeoutMs: number;
  windowBytes: number;
  maxMessageBytes: number;
  ringBytes: number;
  counterBytes: number;
  /** All but the name table and the counters. */
  session: Omit<SessionOptions, 'hello' | 'counterDescriptor'> & { hello: Omit<SessionOptions['hello'], 'names'> };
}

/** Checks what `connect` was given and fills in the defaults. */
export function checkConnectOptions(contractName: string, options: ConnectOptions): ClientSettings {
  const path = resolveSocketPath(options.path, contractName);
  const callTimeoutMs = timeoutOption('callTimeoutMs', options.callTimeoutMs, DEFAULT_CALL_TIMEOUT_MS);
  const { addon, reason } = addonFor(options.transport);
  const { maySpin } = configureWaiting(addon, options.wait, undefined);
  const ringBytes = [
    ringBytesOption('ringBytes.toServer', options.ringBytes?.toServer),
    ringBytesOption('ringBytes.toClient', options.ringBytes?.toClient),
  ] as [number, number];
  const maxMessageBytes = integerOption('maxMessageBytes', options.maxMessageBytes, DEFAULT_MAX_MESSAGE_BYTES, 1, MAX_RING_BYTES);
  return {
    path,
    callTimeoutMs,
    windowBytes: integerOption('windowBytes', options.windowBytes, DEFAULT_WINDOW_BYTES, 1, MAX_RING_BYTES),
    maxMessageBytes,
    ringBytes: ringBytes[0],
    counterBytes: counterBytesOption(options.counterBytes),
    session: {
      path,
      addon,
      isSocketWanted: options.transport === 'socket',
      noShmReason: reason,
      maySpin,
      ringBytes,
      maxMessageBytes,
      highWaterMark: integerOption('highWaterMark', options.highWaterMark, ringBytes[0] / 2, 0, ringBytes[0]),
      handshakeTimeoutMs: integerOption('handshakeTimeoutMs', options.handshakeTimeoutMs, DEFAULT_HANDSHAKE_TIMEOUT_MS, 1, 3_600_000),
      ...(options.allow === undefined ? {} : { allow: options.allow }),
      ...(options.authorize === undefined ? {} : { authorize: options.authorize }),
      hello: {
        contract: contractName,
        clientId: randomUUID(),
        ringBytes,
        maxMessageBytes,
        features: [],
        pid: process.pid,
        runtime: LIBRARY_RUNTIME,
      },
    },
  };
}
