import type { PeerRules } from './channel/peer.js';
import { MAX_COUNTER_BYTES } from './counters/layout.js';
import { PillionError } from './errors.js';
import { middlewareOption, type ServerMiddleware } from './middleware.js';
import type { NativeAddon } from './native.js';
import {
  addonFor,
  configureWaiting,
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  DEFAULT_MAX_ARENA_BYTES,
  DEFAULT_MAX_COUNTER_BYTES,
  DEFAULT_MAX_MESSAGE_BYTES,
  DEFAULT_MAX_RING_BYTES,
  DEFAULT_WINDOW_BYTES,
  integerOption,
  type WaitPreset,
} from './options.js';
import { MAX_ARENA_BYTES, MAX_RING_BYTES } from './ring/layout.js';
import { defaultChecksViews } from './session/view-checks.js';

export interface ServeOptions extends PeerRules {
  /** What every message goes through before its handler, the first one outermost. */
  use?: readonly ServerMiddleware[];
  /** Where to listen. Default: `PILLION_SOCKET`, else `<runtime dir>/pillion/<contract>.sock`. Its directory must be ours with mode 0700. */
  path?: string;
  /** Accept a directory that others can reach, for example a volume shared by containers. Default false. */
  allowSharedDirectory?: boolean;
  /** Mode of the socket file; 0600 by default. */
  mode?: number;
  /** Take the path over from the server that owns it, which then finishes its work and leaves. Default false: fail with ERR_PILLION_ADDRESS_IN_USE. */
  takeover?: boolean;
  /** `auto` (default): shared memory for clients that offer it. `socket`: never. */
  transport?: 'auto' | 'socket';
  /** The largest ring that a client may bring; 64 MiB by default. */
  maxRingBytes?: number;
  /** The largest memory for counters that a client may bring; 1 MiB by default, 0 to read no counters. */
  maxCounterBytes?: number;
  /** The largest arena that a client may bring for its claims; 64 MiB by default. */
  maxArenaBytes?: number;
  /**
   * Handlers of borrowing events get a copy that becomes unusable when it is given back, in place of the memory itself. Finds uses that come too late, and costs
   * what borrowing saves. Default: unless NODE_ENV is "production".
   */
  checkViews?: boolean;
  /** The largest message in either direction; 16 MiB by default. */
  maxMessageBytes?: number;
  /** Connections at once, in all and per user; 1,024 each by default. */
  maxConnections?: number;
  maxConnectionsPerUid?: number;
  /** Answers queued for a client that does not read them before its requests are not read either; 1 MiB by default. */
  maxQueuedBytes?: number;
  /**
   * Calls and streams of one client that may be at work at once; further ones wait in their order, for which nothing more is read once they take more than `maxQueuedBytes`; while a stream is
   * among those at work they are then refused with ERR_PILLION_BUSY instead. Handlers that do not return a promise do not count. No limit by default.
   */
  concurrency?: number;
  /** Streams, uploads and duplex streams that one client may have open; beyond that they are refused with ERR_PILLION_BUSY. 1,024 by default. */
  maxOpenStreams?: number;
  /** Bytes of items of one stream that a client may have on their way to a handler that has not read them; 256 KiB by default. */
  windowBytes?: number;
  /** How long a client may take for its HELLO; 5,000 ms by default. */
  handshakeTimeoutMs?: number;
  /** Send the stacks of handlers' errors to the callers. Default false. */
  exposeStacks?: boolean;
  /** How this thread waits for messages; applies to all connections of the thread. */
  wait?: WaitPreset;
  /** While events arrive now and then, look again after so many ms rather than have each sender pay for a wake-up; 1 by default, 0 to be woken for each. */
  lingerMs?: number;
}

export interface ServerSettings {
  middleware: readonly ServerMiddleware[] | null;
  addon: NativeAddon | null;
  noShmReason: string | undefined;
  rules: PeerRules;
  mode: number;
  allowSharedDirectory: boolean;
  takeover: boolean;
  transport: 'auto' | 'socket';
  maxRingBytes: number;
  maxCounterBytes: number;
  maxArenaBytes: number;
  checksViews: boolean;
  maxMessageBytes: number;
  maxConnections: number;
  maxConnectionsPerUid: number;
  maxQueuedBytes: number;
  concurrency: number;
  maxOpenStreams: number;
  windowBytes: number;
  handshakeTimeoutMs: number;
  exposeStacks: boolean;
}

/** Checks what `serve` was given and fills in the defaults. */
export function checkServeOptions(options: ServeOptions): ServerSettings {
  const { addon, reason } = addonFor(options.transport);
  if (addon === null && (options.allow !== undefined || options.authorize !== undefined)) {
    throw new PillionError(
      'ERR_PILLION_NATIVE_MISSING',
      `"allow" and "authorize" need the kernel's word on who connects, which only the native addon can ask for: ${reason}`,
    );
  }
  configureWaiting(addon, options.wait, options.lingerMs);
  return {
    middleware: middlewareOption(options.use),
    addon,
    noShmReason: options.transport === 'socket' ? 'it was told to use the socket' : reason,
    rules: {
      ...(options.allow === undefined ? {} : { allow: options.allow }),
      ...(options.authorize === undefined ? {} : { authorize: options.authorize }),
    },
    mode: integerOption('mode', options.mode, 0o600, 0, 0o777),
    allowSharedDirectory: options.allowSharedDirectory === true,
    takeover: options.takeover === true,
    transport: options.transport ?? 'auto',
    maxRingBytes: integerOption('maxRingBytes', options.maxRingBytes, DEFAULT_MAX_RING_BYTES, 4096, MAX_RING_BYTES),
    maxCounterBytes: integerOption('maxCounterBytes', options.maxCounterBytes, DEFAULT_MAX_COUNTER_BYTES, 0, MAX_COUNTER_BYTES),
    maxArenaBytes: integerOption('maxArenaBytes', options.maxArenaBytes, DEFAULT_MAX_ARENA_BYTES, 0, MAX_ARENA_BYTES),
    checksViews: options.checkViews ?? defaultChecksViews(),
    maxMessageBytes: integerOption('maxMessageBytes', options.maxMessageBytes, DEFAULT_MAX_MESSAGE_BYTES, 1, MAX_RING_BYTES),
    maxConnections: integerOption('maxConnections', options.maxConnections, 1024, 1, 1_000_000),
    maxConnectionsPerUid: integerOption('maxConnectionsPerUid', options.maxConnectionsPerUid, 1024, 1, 1_000_000),
    maxQueuedBytes: integerOption('maxQueuedBytes', options.maxQueuedBytes, 1024 * 1024, 0, Number.MAX_SAFE_INTEGER),
    concurrency:
      options.concurrency === Number.POSITIVE_INFINITY
        ? options.concurrency
        : integerOption('concurrency', options.concurrency, Number.POSITIVE_INFINITY, 1, Number.MAX_SAFE_INTEGER),
    maxOpenStreams: integerOption('maxOpenStreams', options.maxOpenStreams, 1024, 0, Number.MAX_SAFE_INTEGER),
    windowBytes: integerOption('windowBytes', options.windowBytes, DEFAULT_WINDOW_BYTES, 1, MAX_RING_BYTES),
    handshakeTimeoutMs: integerOption('handshakeTimeoutMs', options.handshakeTimeoutMs, DEFAULT_HANDSHAKE_TIMEOUT_MS, 1, 3_600_000),
    exposeStacks: options.exposeStacks === true,
  };
}
