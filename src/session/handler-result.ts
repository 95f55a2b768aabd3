import { messageOf } from '../errors.js';
import type { ErrorPayload } from '../protocol/frame.js';

/** What handlers return and throw may be anything: nothing here throws, whatever getters and conversions it has. */

/** What the caller is told of whatever a handler threw. */
export function errorPayload(error: unknown, exposeStack: boolean): ErrorPayload {
  const field = (key: 'code' | 'name' | 'stack'): unknown => {
    try {
      return (error as Record<string, unknown> | null | undefined)?.[key];
    } catch {
      return undefined;
    }
  };
  const text = (value: unknown, otherwise: string, maxLength: number): string =>
    (typeof value === 'string' ? value : otherwise).slice(0, maxLength);
  const payload: ErrorPayload = {
    code: text(field('code'), 'ERR_PILLION_HANDLER', 256),
    message: messageOf(error).slice(0, 8192),
    name: text(field('name'), 'Error', 256),
  };
  if (exposeStack) payload.stack = text(field('stack'), '', 8192);
  return payload;
}

/** Follows a handler's promise. A `then` that throws is a rejection, as for `await`. */
export function settleWith(result: PromiseLike<unknown>, onValue: (value: unknown) => void, onError: (error: unknown) => void): void {
  if (result instanceof Promise) result.then(onValue, onError);
  else Promise.resolve(result).then(onValue, onError);
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'object' || value === null) return false;
  try {
    return typeof (value as { then?: unknown }).then === 'function';
  } catch {
    // A `then` that cannot be read: Promise.resolve makes a rejection of it.
    return true;
  }
}
