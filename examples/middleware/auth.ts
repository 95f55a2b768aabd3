import { createHash, timingSafeEqual } from 'node:crypto';
import type { ServerMiddleware } from '../../src/index.js'; // from 'pillion'

/** Lets only messages through whose header `token` is known. A call without fails at its caller; an event without is counted as a handler error, and released. */
export function requireToken(known: readonly string[]): ServerMiddleware {
  // Digests have one length, and comparing them in constant time tells nothing of how much of a guess was right.
  const digest = (token: string): Buffer => createHash('sha256').update(token).digest();
  const digests = known.map(digest);
  return (context, next) => {
    const given = digest(context.headers['token'] ?? '');
    if (!digests.some((own) => timingSafeEqual(own, given))) {
      throw Object.assign(new Error(`"${context.name}" needs a token`), { code: 'EAUTH' });
    }
    return next();
  };
}
