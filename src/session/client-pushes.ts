import { EventEmitter } from 'node:events';
import { PillionError } from '../errors.js';
import type { PayloadCodec } from '../protocol/codec.js';
import { STATE } from '../protocol/frame.js';
import { type MessageHeaders, NO_HEADERS, readHeaders } from '../protocol/headers.js';

/** What a name of the contract that the sidecar speaks under means to the client. */
export interface PushFormat {
  readonly name: string;
  readonly kind: 'state' | 'broadcast';
  readonly codec: PayloadCodec;
  readonly default: unknown;
  readonly check?: ((value: unknown) => unknown) | undefined;
}

/** Events of a state. */
export interface StateEvents<T> {
  /** There is a new value; several that came at once are one change. */
  change: [value: T];
  /** The connection is gone, and with it the certainty that the value is the latest. */
  stale: [];
  /** A value could not be decoded, is too long, or is not what the contract says: the one before it stays, and is out of date. */
  invalid: [error: Error];
}

/**
 * The latest value that the sidecar has set, kept in this process: reading it asks nobody. It changes between turns of the event loop, and while `callSync` or a
 * `send` that waits for room block; otherwise every read of one turn gives the same.
 */
export class ClientState<T> extends EventEmitter<StateEvents<T>> {
  private readonly format: PushFormat;
  private current: T | undefined;
  /** Not decoded yet: most values of a state that changes often are never looked at. */
  private bytes: Uint8Array | null = null;
  private isFresh = false;
  private hasReceived = false;
  private isChangeDue = false;
  /** Has a value been decoded since `change` was told? */
  private hasChanged = false;

  /** Internal: `client.state(name)` gives it. */
  constructor(format: PushFormat) {
    super();
    this.format = format;
    this.current = format.default as T | undefined;
  }

  /** The latest value, else the contract's default, else undefined. */
  get value(): T | undefined {
    this.decode();
    return this.current;
  }

  /**
   * False once the sidecar of the current connection has told its value: until then, without a connection, and when the latest value could not be decoded, `value` may be out of
   * date.
   */
  get isStale(): boolean {
    this.decode();
    return !this.isFresh;
  }

  /** Has a sidecar ever told a value? */
  get isKnown(): boolean {
    return this.hasReceived;
  }

  /** Internal: a value has arrived; null if it was too long. */
  receive(bytes: Uint8Array | null): void {
    if (bytes === null) {
      this.decode();
      this.fail(new PillionError('ERR_PILLION_TOO_LARGE', `the value of "${this.format.name}" is longer than maxMessageBytes`));
      return;
    }
    this.bytes = bytes;
    this.isFresh = true;
    this.hasReceived = true;
    if (!this.isChangeDue) this.hasChanged = false;
    if (this.isChangeDue || (this.listenerCount('change') === 0 && this.listenerCount('invalid') === 0)) return;
    this.isChangeDue = true;
    queueMicrotask(() => {
      this.isChangeDue = false;
      this.decode();
      if (!this.hasChanged) return;
      this.hasChanged = false;
      this.emit('change', this.current as T);
    });
  }

  private decode(): void {
    const { bytes } = this;
    if (bytes === null) return;
    this.bytes = null;
    const { codec, check } = this.format;
    try {
      const value = codec.decodeOwned(bytes);
      this.current = (check === undefined ? value : check(value)) as T;
      this.hasChanged = true;
    } catch (error) {
      this.fail(error as Error);
    }
  }

  private fail(error: Error): void {
    this.bytes = null;
    this.isFresh = false;
    // A read must not call listeners.
    if (this.listenerCount('invalid') > 0) queueMicrotask(() => this.emit('invalid', error));
  }

  /** Internal: the connection is gone. */
  lose(): void {
    if (!this.isFresh) return;
    this.isFresh = false;
    queueMicrotask(() => this.emit('stale'));
  }
}

/** What a listener is told besides the payload. */
export interface BroadcastInfo {
  /** What the sidecar put beside the payload. Frozen, without a prototype; empty if there was nothing. */
  readonly headers: MessageHeaders;
}

export type Listener = (payload: unknown, info: BroadcastInfo) => void;

const NO_INFO: BroadcastInfo = Object.freeze({ headers: NO_HEADERS });

/** What reaches a client unasked: states, and broadcasts with their listeners. */
export class ClientPushes {
  private readonly formats = new Map<number, PushFormat>();
  private readonly states = new Map<string, ClientState<unknown>>();
  private readonly listeners = new Map<string, Set<Listener>>();
  /** Listeners that threw, and payloads that could not be decoded. */
  broadcastsFailed = 0;
  broadcastsReceived = 0;
  statesReceived = 0;

  define(index: number, format: PushFormat): void {
    this.formats.set(index, format);
    if (format.kind === 'state') this.states.set(format.name, new ClientState(format));
    else this.listeners.set(format.name, new Set());
  }

  state(name: string): ClientState<unknown> | undefined {
    return this.states.get(name);
  }

  listenersOf(name: string): Set<Listener> | undefined {
    return this.listeners.get(name);
  }

  /** What target `index` is, if the server may send this kind of frame to it. */
  formatOf(kind: number, index: number): PushFormat | undefined {
    const format = this.formats.get(index);
    return format !== undefined && (kind === STATE) === (format.kind === 'state') ? format : undefined;
  }

  /** Is anybody interested? */
  wants(format: PushFormat): boolean {
    return format.kind === 'state' || (this.listeners.get(format.name)?.size ?? 0) > 0;
  }

  onState(format: PushFormat, bytes: Uint8Array | null): void {
    this.statesReceived++;
    this.states.get(format.name)?.receive(bytes);
  }

  /** A listener that throws is an uncaught exception of its owner's, and hurts nobody else. `bytes` are null if there were too many. */
  onBroadcast(format: PushFormat, bytes: Uint8Array | null, hasHeaders: boolean): void {
    this.broadcastsReceived++;
    if (bytes === null) {
      this.broadcastsFailed++;
      return;
    }
    let payload: unknown;
    let info = NO_INFO;
    try {
      let value = bytes;
      if (hasHeaders) {
        const { headers, valueOffset } = readHeaders({ bytes, words: null }, 0, bytes.length);
        info = Object.freeze({ headers });
        value = bytes.subarray(valueOffset);
      }
      payload = format.codec.decodeOwned(value);
      if (format.check !== undefined) payload = format.check(payload);
    } catch {
      this.broadcastsFailed++;
      return;
    }
    const listeners = this.listeners.get(format.name) ?? new Set();
    for (const listener of [...listeners]) {
      // One of those before may have ended it.
      if (!listeners.has(listener)) continue;
      try {
        listener(payload, info);
      } catch (error) {
        this.broadcastsFailed++;
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  onDisconnect(): void {
    for (const state of this.states.values()) state.lose();
  }
}
