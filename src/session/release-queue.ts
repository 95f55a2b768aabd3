/** A record that keeps its place in the ring until its handler is done. */
export interface Held {
  readonly end: number;
  isDone: boolean;
}

/**
 * How far a ring may be released when some handlers are still at work: up to the first unfinished one, in order.
 */
export class ReleaseQueue {
  private position: number;
  private held: Held[] = [];

  constructor(position: number) {
    this.position = position;
  }

  /** Everything before this position may be overwritten. */
  get releasable(): number {
    return this.position;
  }

  /** Are handlers still at work? */
  get hasHeld(): boolean {
    return this.held.length > 0;
  }

  /** The record that ends at `end` needs its place no more. */
  pass(end: number): void {
    if (this.held.length === 0) this.position = end;
    else this.held.push({ end, isDone: true });
  }

  /** The record that ends at `end` keeps its place until `finish`. */
  hold(end: number): Held {
    const entry = { end, isDone: false };
    this.held.push(entry);
    return entry;
  }

  /** A handler is done. True if the releasable position moved. */
  finish(entry: Held): boolean {
    entry.isDone = true;
    let done = 0;
    while (done < this.held.length && (this.held[done] as Held).isDone) done++;
    if (done === 0) return false;
    this.position = (this.held[done - 1] as Held).end;
    this.held.splice(0, done);
    return true;
  }
}
