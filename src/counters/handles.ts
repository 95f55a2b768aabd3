import { PillionError } from '../errors.js';

/**
 * What an app counts with. A handle is a few words: where its cells are. Only the app writes them, so each change is a plain load and store of 8 aligned
 * bytes, and no system call; a sidecar that reads meanwhile sees one number older than another, never half a number. Exact up to 2^53.
 */
abstract class Handle {
  /** The memory of all cells; `first` is the handle's own. */
  protected cells: Float64Array;
  protected readonly first: number;

  constructor(cells: Float64Array, first: number) {
    this.cells = cells;
    this.first = first;
  }

  /** Internal: the memory has moved. */
  moveTo(cells: Float64Array): void {
    this.cells = cells;
  }
}

/** A number that only grows. */
export class Counter extends Handle {
  get value(): number {
    return this.cells[this.first] as number;
  }

  /** @throws PillionError ERR_PILLION_INVALID_ARGUMENT unless `amount` is a finite number from 0. */
  add(amount = 1): void {
    if (typeof amount !== 'number' || !(amount >= 0 && amount < Number.POSITIVE_INFINITY))
      throw invalidNumber('a counter grows by', amount, ' from 0');
    (this.cells[this.first] as number) += amount;
  }
}

/** A number that goes up and down. */
export class Gauge extends Handle {
  get value(): number {
    return this.cells[this.first] as number;
  }

  /** @throws PillionError ERR_PILLION_INVALID_ARGUMENT unless `value` is a finite number. */
  set(value: number): void {
    if (!Number.isFinite(value)) throw invalidNumber('a gauge is set to', value);
    this.cells[this.first] = value;
  }

  /** Likewise; a negative amount takes away. */
  add(amount = 1): void {
    if (!Number.isFinite(amount)) throw invalidNumber('a gauge is changed by', amount);
    (this.cells[this.first] as number) += amount;
  }
}

/** How often observed values fell into which bucket, and their sum. */
export class Histogram extends Handle {
  private readonly bounds: Float64Array;

  constructor(cells: Float64Array, first: number, bounds: readonly number[]) {
    super(cells, first);
    this.bounds = Float64Array.from(bounds);
  }

  get sum(): number {
    return this.cells[this.first] as number;
  }

  get count(): number {
    let count = 0;
    for (let i = 0; i <= this.bounds.length; i++) count += this.cells[this.first + 1 + i] as number;
    return count;
  }

  /** @throws PillionError ERR_PILLION_INVALID_ARGUMENT unless `value` is a finite number. */
  observe(value: number): void {
    if (!Number.isFinite(value)) throw invalidNumber('a histogram observes', value);
    const { cells, first, bounds } = this;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= (bounds[middle] as number)) high = middle;
      else low = middle + 1;
    }
    (cells[first + 1 + low] as number) += 1;
    (cells[first] as number) += value;
  }
}

function invalidNumber(what: string, value: unknown, limit = ''): PillionError {
  const shown = typeof value === 'number' ? String(value) : `a ${typeof value}`;
  return new PillionError('ERR_PILLION_INVALID_ARGUMENT', `${what} a finite number${limit}, not ${shown}`);
}
