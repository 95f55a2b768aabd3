import type { Lane } from './lane.js';
import { Unavailable } from './questions.js';

/** What a pattern needs of a link; its absence skips the row. */
export function offered<T>({ transport, pattern }: Pick<Lane, 'transport' | 'pattern'>, operation: T | undefined): T {
  if (operation === undefined) throw new Unavailable(`${transport} offers no ${pattern}`);
  return operation;
}
