import { messageOf } from '../errors.js';
import type { ErrorPayload } from '../protocol/frame.js';

/** What the caller is told of whatever a handler threw. Never throws itself, whatever getters and conversions that has. */
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
