import type { Reassembled } from '../protocol/fragments.js';
import { alignedLength } from '../ring/layout.js';
import type { LendingRoute } from './payload-reader.js';

/** A call that waits until fewer are at work. */
export interface WaitingCall {
  readonly route: LendingRoute;
  readonly flags: number;
  readonly id: number;
  readonly aux: number;
  readonly message: Reassembled;
}

/** Calls that wait for their turn, in order, by correlation id. */
export class WaitingCalls {
  private readonly calls = new Map<number, WaitingCall>();
  /** Headers count, or calls without payload would be free. */
  bytes = 0;
  /** Those that open a stream. */
  streamCount = 0;

  get size(): number {
    return this.calls.size;
  }

  has(id: number): boolean {
    return this.calls.has(id);
  }

  add(call: WaitingCall): void {
    this.calls.set(call.id, call);
    this.bytes += alignedLength(call.message.length);
    if (call.route.kind !== 'method') this.streamCount++;
  }

  /** Takes a call out; undefined if it does not wait. */
  take(id: number): WaitingCall | undefined {
    const call = this.calls.get(id);
    if (call === undefined) return undefined;
    this.calls.delete(id);
    this.bytes -= alignedLength(call.message.length);
    if (call.route.kind !== 'method') this.streamCount--;
    return call;
  }

  ids(): IterableIterator<number> {
    return this.calls.keys();
  }

  clear(): void {
    this.calls.clear();
    this.bytes = this.streamCount = 0;
  }
}
