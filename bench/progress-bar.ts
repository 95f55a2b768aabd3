import { Presets, SingleBar } from 'cli-progress';
import type { Progress } from './suite/suite.js';

/** A bar that rewrites itself on a terminal, one line per step elsewhere. On stderr: stdout belongs to the result. */
export class ProgressBar {
  readonly #bar = process.stderr.isTTY
    ? new SingleBar(
        { format: '{bar} {percentage}% {text}', stream: process.stderr, hideCursor: true, clearOnComplete: true },
        Presets.shades_classic,
      )
    : undefined;

  constructor() {
    this.#bar?.start(100, 0, { text: 'starting' });
  }

  show({ text, share }: Progress): void {
    if (this.#bar) this.#bar.update(Math.floor(share * 100), { text: text.slice(0, 60) });
    else process.stderr.write(`${String(Math.floor(share * 100)).padStart(3)}% ${text}\n`);
  }

  stop(): void {
    this.#bar?.stop();
  }
}
