import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, Answered, Argument, Question } from './questions.js';
import { Unavailable } from './questions.js';

interface Pending {
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

export interface ChildOptions {
  /** Flags for Node; those of this process where absent. */
  execArgv?: string[];
  /** In addition to this process's environment. */
  env?: Record<string, string>;
  /** The one CPU it may use. */
  cpu?: number;
}

/** The process did not answer in the time it was given. */
export class Overdue extends Error {}

const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** A process of the suite, seen from its parent: ask it, learn of its death, end it. */
export class Child {
  readonly #role: string;
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  #nextId = 1;
  #lastWords = '';
  #death: Error | undefined;
  #announceDeath!: (error: Error) => void;
  /** Rejects when the child dies; whoever waits for traffic races against it. */
  readonly died = new Promise<never>((_, reject) => {
    this.#announceDeath = reject;
  });

  constructor(role: string, module: URL, { execArgv = process.execArgv, env = {}, cpu }: ChildOptions = {}) {
    this.#role = role;
    // Node's own threads get the mask of the process, which has to be set before they start.
    const pinned = cpu === undefined ? {} : { execPath: 'taskset', execArgv: ['--cpu-list', String(cpu), process.execPath, ...execArgv] };
    this.#process = fork(module, { execArgv, ...pinned, env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    alive.add(this.#process);
    this.died.catch(() => {});
    this.#process.on('message', (message) => this.#settle(message as Answered));
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-2_000);
    });
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => {
        alive.delete(this.#process);
        this.#die(`ended by itself (${signal ?? `exit code ${code}`})${lastLine(this.#lastWords)}`);
        resolve();
      });
    });
    this.#process.once('error', (error) => this.#die(error.message));
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  async ask<Q extends Question>(question: Q, argument: Argument<Q>, timeoutMs: number): Promise<Answer<Q>> {
    if (this.#death) throw this.#death;
    const id = this.#nextId++;
    const answered = new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    const overdue = () => this.#kill(new Overdue(`the ${this.#role} gave no answer to "${question}" in ${timeoutMs} ms`));
    const timer = setTimeout(overdue, timeoutMs);
    try {
      this.#process.send({ id, question, argument }, (error) => error && this.#die(error.message));
      return (await answered) as Answer<Q>;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Orderly where possible, by force otherwise; resolves when the process is gone. */
  async end(): Promise<void> {
    if (!this.#death) await this.ask('close', null, 3_000).catch(() => {});
    if (this.#process.connected) this.#process.disconnect();
    const patience = new AbortController();
    const kill = sleep(1_000, undefined, { signal: patience.signal }).then(
      () => this.#process.kill('SIGKILL'),
      () => {},
    );
    await this.#exited;
    patience.abort();
    await kill;
  }

  #settle({ id, answer, error, unavailable }: Answered): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) pending?.resolve(answer);
    else pending?.reject(unavailable ? new Unavailable(error) : new Error(error));
  }

  #kill(why: Error): void {
    this.#die(why);
    this.#process.kill('SIGKILL');
  }

  #die(why: string | Error): void {
    this.#death ??= why instanceof Error ? why : new Error(`the ${this.#role} ${why}`);
    this.#announceDeath(this.#death);
    for (const { reject } of this.#pending.values()) reject(this.#death);
    this.#pending.clear();
  }
}

function lastLine(text: string): string {
  const line = text
    .split('\n')
    .filter((candidate) => /error/i.test(candidate))
    .at(-1);
  return line ? `: ${line.trim().slice(0, 200)}` : '';
}
