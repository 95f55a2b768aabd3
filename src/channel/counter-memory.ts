import { messageOf, PillionError } from '../errors.js';
import type { NativeAddon, NativeCounterMemory } from '../native.js';
import type { Hello } from '../protocol/handshake.js';

export interface CounterMemoryOptions {
  /** Also where frames travel over the socket: it can carry the descriptor. */
  addon: NativeAddon | null;
  noAddonReason: string | undefined;
  /** 0: no interest. */
  maxBytes: number;
}

export interface MappedCounters {
  memory: NativeCounterMemory | null;
  /** Why there is none though the client has counters. */
  reason: string | undefined;
}

/**
 * Maps the memory of a client's counters, read-only. A descriptor that is not what it must be refuses the client; whatever else is in the way costs it the
 * counters, not the connection. Takes the descriptor out of the list if it maps it.
 */
export function mapCounters(hello: Hello, descriptors: number[], { addon, noAddonReason, maxBytes }: CounterMemoryOptions): MappedCounters {
  const without = (reason: string): MappedCounters => ({ memory: null, reason });
  if (hello.counters === undefined) return { memory: null, reason: hello.noCountersReason };
  const { bytes } = hello.counters;
  if (addon === null) return without(`the server cannot map the counters: ${noAddonReason}`);
  if (bytes > maxBytes) return without(`the counters take ${bytes} bytes, more than the server's maxCounterBytes=${maxBytes}`);
  const descriptor = descriptors.pop();
  if (descriptor === undefined) return without('the descriptor of the counters did not arrive');
  try {
    return { memory: addon.CounterMemory.map(descriptor, bytes), reason: undefined };
  } catch (error) {
    // A failed system call is our lack of memory, not the client's fault.
    if (typeof (error as NodeJS.ErrnoException).errno === 'number')
      return without(`the server cannot map the counters: ${messageOf(error)}`);
    throw new PillionError('ERR_PILLION_BAD_SEGMENT', `the memory of the counters: ${messageOf(error)}`, { cause: error });
  }
}
