import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

const FIRST_MS = 10;
const LONGEST_MS = 1000;
/** With a watch on the directory the timer is only a net. */
const LONGEST_WATCHED_MS = 5000;

/**
 * Waits between attempts to reach a server: exponentially longer, with full jitter so that many clients of one server don't come at once, and cut short
 * when the socket file appears.
 */
export class Backoff {
  private readonly path: string;
  private attempt = 0;
  private watcher: FSWatcher | null = null;
  private timer: NodeJS.Timeout | null = null;
  private wake: (() => void) | null = null;
  private isRef = false;

  constructor(path: string) {
    this.path = path;
  }

  /** The next wait begins short again. */
  reset(): void {
    this.attempt = 0;
    this.closeWatcher();
  }

  /** Connected: there is nothing to watch for. */
  rest(): void {
    this.closeWatcher();
  }

  /** Resolves when it is time for the next attempt. */
  wait(): Promise<void> {
    this.openWatcher();
    const longest = this.watcher === null ? LONGEST_MS : LONGEST_WATCHED_MS;
    const ceiling = Math.min(longest, FIRST_MS * 2 ** this.attempt++);
    const ms = ceiling / 2 + (Math.random() * ceiling) / 2;
    return new Promise((resolve) => {
      this.wake = () => {
        if (this.timer !== null) clearTimeout(this.timer);
        this.timer = null;
        this.wake = null;
        resolve();
      };
      this.timer = setTimeout(this.wake, ms);
      if (!this.isRef) this.timer.unref();
    });
  }

  /** Ends a wait now. */
  cut(): void {
    this.wake?.();
  }

  /** Should waiting keep the process alive? */
  keepAlive(on: boolean): void {
    this.isRef = on;
    if (on) this.timer?.ref();
    else this.timer?.unref();
  }

  close(): void {
    this.closeWatcher();
    this.cut();
  }

  // The directory may not exist, watching may be forbidden or exhausted: then the timer alone has to do.
  private openWatcher(): void {
    if (this.watcher !== null) return;
    const file = basename(this.path);
    try {
      this.watcher = watch(dirname(this.path), { persistent: false }, (_event, name) => {
        if (name === null || name === file) this.onFileEvent();
      });
      this.watcher.on('error', () => this.closeWatcher());
    } catch {
      this.watcher = null;
    }
  }

  private onFileEvent(): void {
    this.attempt = 0;
    this.cut();
  }

  private closeWatcher(): void {
    this.watcher?.close();
    this.watcher = null;
  }
}
