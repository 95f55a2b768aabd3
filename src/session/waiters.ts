import { PillionError } from '../errors.js';

export interface WaitOptions {
  /** In ms; Infinity for no limit. */
  timeoutMs: number;
  signal: AbortSignal | null;
  /** What has not happened, for the error message. */
  what: string;
  /** Why it may not have happened. */
  cause(): Error | null;
}

interface Waiter {
  position: number;
  readonly attempt: (() => boolean) | null;
  settle(error: unknown): void;
}

/**
 * Promises that wait for the connection, for a position in the ring or for their turn to do something. Whoever gives up is forgotten, so that it does not keep the process alive.
 */
export class Waiters {
  private readonly waiting = new Set<Waiter>();
  private readonly onChange: () => void;

  /** `onChange` is called after somebody came or went by itself. */
  constructor(onChange: () => void) {
    this.onChange = onChange;
  }

  get size(): number {
    return this.waiting.size;
  }

  add(position: number, { timeoutMs, signal, what, cause }: WaitOptions, attempt: (() => boolean) | null = null): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      let timer: NodeJS.Timeout | undefined;
      const waiter: Waiter = {
        position,
        attempt,
        settle: (error) => {
          this.waiting.delete(waiter);
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
          if (error === null) resolve();
          else reject(error);
        },
      };
      const giveUp = (error: unknown): void => {
        waiter.settle(error);
        this.onChange();
      };
      const onAbort = (): void => giveUp(signal?.reason);
      signal?.addEventListener('abort', onAbort);
      if (timeoutMs !== Number.POSITIVE_INFINITY) {
        timer = setTimeout(() => giveUp(waitError(what, timeoutMs, cause())), Math.min(timeoutMs, 2 ** 31 - 1));
      }
      this.waiting.add(waiter);
      this.onChange();
    });
  }

  /** Resolves those whose position has been reached. */
  resolveUpTo(position: number): void {
    for (const waiter of [...this.waiting]) if (((position - waiter.position) | 0) >= 0) waiter.settle(null);
  }

  /** Lets those who wait for their turn try, from the first on: one that fails holds up those behind it, one that throws rejects. */
  attemptInOrder(): void {
    for (const waiter of [...this.waiting]) {
      try {
        if (waiter.attempt?.() === false) return;
        waiter.settle(null);
      } catch (error) {
        waiter.settle(error);
      }
    }
  }

  settleAll(error: unknown): void {
    for (const waiter of [...this.waiting]) waiter.settle(error);
  }

  /** Everybody waits for this position now. */
  moveTo(position: number): void {
    for (const waiter of this.waiting) waiter.position = position;
  }
}

function waitError(what: string, timeoutMs: number, cause: Error | null): PillionError {
  const message = `${what} within ${timeoutMs} ms${cause === null ? '' : `: ${cause.message}`}`;
  return new PillionError('ERR_PILLION_TIMEOUT', message, cause === null ? undefined : { cause });
}
