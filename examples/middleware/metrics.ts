import { Histogram, type Registry } from 'prom-client';
import type { Middleware } from '../../src/index.js'; // from 'pillion'

/** Times everything, on either side, in a histogram of prom-client. Streams of an app are timed until they are open. */
export function metrics(registry: Registry): Middleware {
  const duration = new Histogram({
    name: 'pillion_message_seconds',
    help: 'How long messages take, from the first middleware to the result.',
    labelNames: ['side', 'kind', 'name', 'outcome'] as const,
    buckets: [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1],
    registers: [registry],
  });
  return ({ side, kind, name }, next) => {
    const end = duration.startTimer({ side, kind, name });
    const ok = <T>(result: T): T => {
      end({ outcome: 'ok' });
      return result;
    };
    const failed = (error: unknown): never => {
      end({ outcome: 'error' });
      throw error;
    };
    let result: unknown;
    try {
      result = next();
    } catch (error) {
      return failed(error);
    }
    // What is synchronous stays so: `send` and `callSync` cannot wait.
    return result instanceof Promise ? result.then(ok, failed) : ok(result);
  };
}
