import type { ExecutionContext } from 'ava';

/** The promise rejects with the reason that an AbortSignal has by default, which is a DOMException and not an Error. */
export async function rejectsAborted(t: ExecutionContext, promise: Promise<unknown>): Promise<void> {
  const reason = (await t.throwsAsync(promise, { any: true })) as unknown;
  t.is((reason as DOMException | undefined)?.name, 'AbortError');
}
