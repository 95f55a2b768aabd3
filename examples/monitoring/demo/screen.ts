const BAR_WIDTH = 30;
const REFRESH_MS = 100;
/** Without a terminal, one line for each tenth of the work is enough. */
const PLAIN_STEPS = 10;

/** Lines for the reader and, below them on a terminal, one line that says how far the work is. */
export class Screen {
  readonly #isTerminal = process.stdout.isTTY === true;
  #timer: NodeJS.Timeout | undefined;
  #status = '';

  line(text = ''): void {
    this.#clear();
    console.log(text);
    this.#draw();
  }

  /** What is being done at the moment. */
  status(text: string): void {
    if (!this.#isTerminal) {
      console.log(`  ${text}`);
      return;
    }
    this.#status = `  ${text}`;
    this.#draw();
  }

  /** Shows how far the work is until `stop`. It looks now and then, so the work itself need not report. */
  follow(what: string, total: number, done: () => number): void {
    let shownStep = 0;
    this.#timer = setInterval(() => {
      const part = done() / total;
      const step = Math.floor(part * PLAIN_STEPS);
      const text = `${done()} of ${total} ${what}`;
      if (this.#isTerminal) this.status(`${bar(part)} ${text}`);
      else if (step > shownStep) this.status(text);
      shownStep = step;
    }, REFRESH_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#clear();
    this.#status = '';
  }

  #clear(): void {
    if (this.#isTerminal) process.stdout.write('\r\x1b[K');
  }

  #draw(): void {
    if (this.#isTerminal && this.#status !== '') process.stdout.write(`\r\x1b[K${this.#status}`);
  }
}

function bar(part: number): string {
  const filled = Math.round(part * BAR_WIDTH);
  return '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
}
