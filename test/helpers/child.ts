import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { inTime } from './deadline.js';
import type { Answer, Question } from './questions.js';

export interface ChildOptions {
  args?: readonly string[];
  /** Flags of the node process. */
  execArgv?: readonly string[];
  env?: Record<string, string>;
  /** The program ends by itself, without `answerQuestions`. */
  isPlain?: boolean;
}

export interface ChildExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

/** A child process of a test, ended by its own pid. */
export class Child {
  readonly pid: number;
  /** Settles when the process has ended. */
  readonly exited: Promise<ChildExit>;
  private readonly process: ChildProcess;
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  private lastQuestion = 0;
  private isOver = false;

  constructor(child: ChildProcess) {
    this.process = child;
    this.pid = child.pid as number;
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    child.on('message', (answer: Answer) => this.onAnswer(answer));
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.isOver = true;
        for (const { reject } of this.waiting.values()) reject(new Error(`the child ended: code=${code} signal=${signal}\n${output}`));
        this.waiting.clear();
        resolve({ code, signal, output });
      });
    });
  }

  private onAnswer({ id, value, error }: Answer): void {
    const waiter = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) waiter?.resolve(value);
    else waiter?.reject(new Error(error));
  }

  /** Asks the child over the test's own channel, which has nothing to do with what is tested. */
  ask<T>(name: string, ...args: unknown[]): Promise<T> {
    const id = ++this.lastQuestion;
    const answer = new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
    });
    const question: Question = { id, name, args };
    this.process.send(question);
    return inTime(`the child's answer to ${name}`, answer);
  }

  /** Sends a signal to this one process. */
  signal(signal: NodeJS.Signals): void {
    if (!this.isOver) process.kill(this.pid, signal);
  }

  /** Ends the process if it lives, and waits until it is gone. */
  async stop(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }
}

/** Starts a compiled program; resolves when it says that it is up. */
export async function startChild(program: URL, options: ChildOptions = {}): Promise<Child> {
  const child = new Child(
    fork(fileURLToPath(program), options.args ?? [], {
      execArgv: ['--enable-source-maps', ...(options.execArgv ?? [])],
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      serialization: 'advanced',
    }),
  );
  if (!options.isPlain) await child.ask('up');
  return child;
}
