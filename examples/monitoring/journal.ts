import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';

/**
 * How many ids are kept in memory. Only events that were still in an app's ring can come again, and no ring of this
 * example holds that many.
 */
const REMEMBERED_IDS = 100_000;

/**
 * The ids of all orders that were ever counted, one per line, in a file that outlives the process.
 *
 * Each line is handed to the kernel before `append` returns, so kill -9 cannot take it back. A power cut could, but it
 * takes the rings as well.
 */
export class Journal {
  /** Orders found when the file was opened. */
  readonly restored: number;
  readonly #file: number;
  readonly #recent: Set<string>;

  constructor(path: string) {
    this.#file = openSync(path, 'a+', 0o600);
    const content = readFileSync(path, 'latin1');
    const end = content.lastIndexOf('\n') + 1;
    // A line without its end is a write that death cut short. Its event was not handled, so it comes again.
    if (end < content.length) ftruncateSync(this.#file, end);
    const ids = content.slice(0, end).split('\n').slice(0, -1);
    this.restored = ids.length;
    this.#recent = new Set(ids.slice(-REMEMBERED_IDS));
  }

  has(id: string): boolean {
    return this.#recent.has(id);
  }

  append(id: string): void {
    writeSync(this.#file, `${id}\n`, null, 'latin1');
    this.#recent.add(id);
    if (this.#recent.size > REMEMBERED_IDS) {
      for (const oldest of this.#recent) {
        this.#recent.delete(oldest);
        break;
      }
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}
