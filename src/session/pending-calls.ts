import { PillionError } from '../errors.js';
import type { PayloadCodec } from '../protocol/codec.js';

/** A call that waits for its answer. */
export interface PendingCall {
  readonly id: number;
  readonly name: string;
  readonly codec: PayloadCodec;
  readonly timeoutMs: number;
  /** When it times out, in ms of performance.now; Infinity for never. */
  readonly deadline: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Records that make up the call in the ring. */
  readonly recordCount: number;
  /** What a successor of the sidecar needs to carry it out; only for idempotent methods. */
  readonly payload: Uint8Array | null;
  readonly tag: number;
  signal: AbortSignal | null;
  onAbort: (() => void) | null;
}

/**
 * The calls in flight, each settled exactly once. One timer serves all deadlines, and none runs while no call is pending.
 */
export class PendingCalls {
  private readonly calls = new Map<number, PendingCall>();
  private readonly onTimeout: (call: PendingCall) => void;
  private timer: NodeJS.Timeout | null = null;
  private timerDeadline = Number.POSITIVE_INFINITY;

  /** `onTimeout` is told of a call that was just rejected for its deadline. */
  constructor(onTimeout: (call: PendingCall) => void) {
    this.onTimeout = onTimeout;
  }

  get size(): number {
    return this.calls.size;
  }

  has(id: number): boolean {
    return this.calls.has(id);
  }

  values(): IterableIterator<PendingCall> {
    return this.calls.values();
  }

  get(id: number): PendingCall | undefined {
    return this.calls.get(id);
  }

  add(call: PendingCall): void {
    this.calls.set(call.id, call);
    if (call.deadline < this.timerDeadline) this.arm(call.deadline);
  }

  /** Removes a call to settle it. Undefined if it was settled already. */
  take(id: number): PendingCall | undefined {
    const call = this.calls.get(id);
    if (call === undefined) return undefined;
    this.calls.delete(id);
    if (call.onAbort !== null) call.signal?.removeEventListener('abort', call.onAbort);
    return call;
  }

  rejectAll(reason: (call: PendingCall) => Error): void {
    for (const id of [...this.calls.keys()]) {
      const call = this.take(id);
      call?.reject(reason(call));
    }
    this.disarm();
  }

  // The timer is left alone when calls are answered: it is cheaper to let it fire once for nothing than to move it with every call.
  private arm(deadline: number): void {
    this.disarm();
    this.timerDeadline = deadline;
    const ms = Math.max(1, Math.ceil(deadline - performance.now()));
    this.timer = setTimeout(() => this.expire(), Math.min(ms, 2 ** 31 - 1));
    // The connection is what keeps the process alive while calls are pending.
    this.timer.unref();
  }

  private disarm(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.timerDeadline = Number.POSITIVE_INFINITY;
  }

  private expire(): void {
    this.disarm();
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const call of this.calls.values()) {
      if (call.deadline > now) {
        next = Math.min(next, call.deadline);
        continue;
      }
      this.take(call.id);
      call.reject(timeoutError(call.name, call.timeoutMs));
      this.onTimeout(call);
    }
    if (next !== Number.POSITIVE_INFINITY) this.arm(next);
  }
}

export function timeoutError(name: string, timeoutMs: number): PillionError {
  return new PillionError('ERR_PILLION_TIMEOUT', `no answer to call "${name}" within ${timeoutMs} ms`);
}

/** What a CALL says about its caller's patience: whole ms, 0 for no limit. */
export function timeLeftField(timeoutMs: number): number {
  return timeoutMs === Number.POSITIVE_INFINITY ? 0 : Math.min(Math.max(1, Math.ceil(timeoutMs)), 0x7fffffff);
}
