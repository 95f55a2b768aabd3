/** What users' functions return may be anything: nothing here throws, whatever getters and conversions it has. */

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  try {
    return typeof (value as { then?: unknown }).then === 'function';
  } catch {
    // A `then` that cannot be read: Promise.resolve makes a rejection of it.
    return true;
  }
}

/** Follows a promise. A `then` that throws is a rejection, as for `await`. */
export function settleWith(result: PromiseLike<unknown>, onValue: (value: unknown) => void, onError: (error: unknown) => void): void {
  if (result instanceof Promise) result.then(onValue, onError);
  else Promise.resolve(result).then(onValue, onError);
}

/** Whatever becomes of a promise that nobody waits for, it does not end the process. */
export function ignore(result: PromiseLike<unknown>): void {
  const noop = (): void => {};
  settleWith(result, noop, noop);
}
