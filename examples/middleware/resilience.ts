import { ConsecutiveBreaker, circuitBreaker, ExponentialBackoff, handleWhen, retry, wrap } from 'cockatiel';
import type { ClientMiddleware } from '../../src/index.js'; // from 'pillion'

/** What another attempt may mend. A sidecar that answered with an error of its own has answered: that is not the circuit's business. */
const isTransient = (error: Error): boolean =>
  ['ERR_PILLION_TIMEOUT', 'ERR_PILLION_PEER_DIED', 'EBUSY'].includes((error as { code?: string }).code ?? '');

/**
 * Calls are tried again, with growing pauses; after too many failures in a row they fail at once, until the circuit is tried again. The policies are
 * cockatiel's. Only for methods that may be carried out twice.
 */
export function resilient(names: readonly string[], { attempts = 3, failures = 5, resetMs = 1000 } = {}): ClientMiddleware {
  const again = retry(handleWhen(isTransient), { maxAttempts: attempts, backoff: new ExponentialBackoff({ initialDelay: 10 }) });
  const breaker = circuitBreaker(handleWhen(isTransient), { halfOpenAfter: resetMs, breaker: new ConsecutiveBreaker(failures) });
  const policy = wrap(again, breaker);
  return (context, next) => {
    // callSync blocks its thread: it cannot pause.
    if (context.kind !== 'method' || context.isSync || !names.includes(context.name)) return next();
    return policy.execute(() => next(), context.signal);
  };
}
