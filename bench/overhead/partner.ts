import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** What may be asked of a process: `[argument, answer]` by name. */
export type Talk = Record<string, [argument: unknown, answer: unknown]>;

interface Answered {
  answer?: unknown;
  error?: string;
}

/** A process of the workload, seen from its parent: one question at a time. It ends when its parent does. */
export class Partner<T extends Talk> {
  readonly #process: ChildProcess;
  readonly #ended: Promise<never>;
  readonly #kill = () => this.#process.kill('SIGKILL');
  #lastWords = '';

  constructor(role: string, module: URL, args: string[]) {
    this.#process = fork(module, args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    process.once('exit', this.#kill);
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-2_000);
    });
    // Not the event "close" of the process, which never comes once this side has disconnected.
    const saidAll = new Promise((resolve) => this.#process.stderr?.once('close', resolve));
    this.#ended = new Promise((_, reject) => {
      this.#process.once('exit', async (code, signal) => {
        process.off('exit', this.#kill);
        await saidAll;
        reject(new Error(`the ${role} ended by itself (${signal ?? `exit code ${code}`})${errorIn(this.#lastWords)}`));
      });
      this.#process.on('error', ({ message }) => reject(new Error(`the ${role} does not run: ${message}`)));
    });
    this.#ended.catch(() => {});
  }

  /** Rejects with the reason when the process fails, ends, or has ended before, and when it is silent. */
  async ask<Q extends keyof T & string>(question: Q, argument: T[Q][0], timeoutMs: number): Promise<T[Q][1]> {
    const patience = new AbortController();
    const { signal } = patience;
    try {
      const message = once(this.#process, 'message', { signal });
      const silence = sleep(timeoutMs, [{ error: `no answer to "${question}" in ${timeoutMs} ms` }], { signal });
      // An error of sending means that the process has ended, which is heard of anyway.
      this.#process.send({ question, argument }, () => {});
      const [{ answer, error }] = (await Promise.race([message, silence, this.#ended])) as [Answered];
      if (error !== undefined) throw new Error(error);
      return answer;
    } finally {
      patience.abort();
    }
  }

  /** Why the process ended, if it does within the time: what went wrong in a conversation with it is then a mere consequence. */
  async causeOfDeath(withinMs: number): Promise<string | undefined> {
    const waiting = new AbortController();
    const patience = sleep(withinMs, undefined, { signal: waiting.signal });
    try {
      return await Promise.race([patience, this.#ended]);
    } catch (error) {
      return (error as Error).message;
    } finally {
      waiting.abort();
    }
  }

  /** Resolves when the process is gone. */
  async end(): Promise<void> {
    // Without its parent it has no purpose and ends, and so do its own children.
    if (this.#process.connected) this.#process.disconnect();
    const kill = setTimeout(this.#kill, 2_000);
    await this.#ended.catch(() => {});
    clearTimeout(kill);
  }
}

/** Node prints the stack below the error, and its version last. */
function errorIn(lastWords: string): string {
  const line = lastWords.split('\n').find((text) => /^\w*Error\b/.test(text));
  return line === undefined ? '' : `: ${line}`;
}
