import type { Summary } from './contract.js';
import type { Journal } from './journal.js';
import type { Metrics } from './metrics.js';

/**
 * Counts each order once, although its event may be delivered twice.
 *
 * pillion releases an event when its handler has returned. A sidecar killed before that leaves the event in the app's
 * memory, and the next sidecar gets it again with `redelivered` set. So there are three moments to die in:
 *
 *   before the journal has the id    the id is unknown to the successor, which counts the event when it comes again
 *   after that, before the release   the successor has counted the id from the journal, and skips the event
 *   after the release                the event does not come again, and the journal has its id
 *
 * In each of them the order counts once. This needs the write to be synchronous: were it still on its way when the
 * handler returns, a fourth moment would exist in which the event is released and the id is nowhere.
 */
export class OrderBook {
  readonly #journal: Journal;
  readonly #metrics: Metrics;
  readonly #summary: Summary;

  constructor(journal: Journal, metrics: Metrics) {
    this.#journal = journal;
    this.#metrics = metrics;
    this.#summary = { orders: journal.restored, restored: journal.restored, redelivered: 0, skipped: 0 };
    metrics.orders.inc(journal.restored);
    metrics.redelivered.inc({ outcome: 'counted' }, 0);
    metrics.redelivered.inc({ outcome: 'skipped' }, 0);
  }

  count(orderId: string, redelivered: boolean): void {
    // Ids are unique, so a first delivery needs no look-up.
    const isKnown = redelivered && this.#journal.has(orderId);
    if (redelivered) {
      this.#summary.redelivered++;
      this.#metrics.redelivered.inc({ outcome: isKnown ? 'skipped' : 'counted' });
    }
    if (isKnown) {
      this.#summary.skipped++;
      return;
    }
    this.#journal.append(orderId);
    this.#summary.orders++;
    this.#metrics.orders.inc();
  }

  summary(): Summary {
    return { ...this.#summary };
  }
}
