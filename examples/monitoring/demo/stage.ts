import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildMessage, ParentMessage } from '../child.js';

const START_LIMIT_MS = 10_000;

type Answer<Type> = Extract<ChildMessage, { type: Type }>;

/** One process of the demo, from its start to its exit. */
export class Actor {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #exit: Promise<unknown>;

  constructor(name: string, script: string, environment: Record<string, string>) {
    this.name = name;
    this.#process = fork(new URL(script, import.meta.url), {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, ...environment },
      // In a process group of its own, so that Ctrl-C reaches the demo alone, which then ends its actors itself.
      detached: true,
    });
    this.#exit = new Promise((resolve) => this.#process.once('exit', resolve));
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw new Error(`The ${this.name} did not start.`);
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  ask(type: ParentMessage['type']): void {
    this.#process.send({ type });
  }

  /** Waits for a message of this type. Fails if the process ends first or takes too long. */
  async receive<Type extends ChildMessage['type']>(type: Type): Promise<Answer<Type>> {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(new Error(`The ${this.name} took too long.`)), START_LIMIT_MS);
    this.#exit.then(() => giveUp.abort(new Error(`The ${this.name} ended too early.`)));
    try {
      for (;;) {
        const [message] = (await once(this.#process, 'message', { signal: giveUp.signal })) as [ChildMessage];
        if (message.type === type) return message as Answer<Type>;
      }
    } catch (error) {
      throw giveUp.signal.aborted ? giveUp.signal.reason : error;
    } finally {
      clearTimeout(timer);
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** Sends the signal and returns how the process ended: an exit code, or the name of the signal. */
  async end(name: NodeJS.Signals): Promise<number | string> {
    this.signal(name);
    await this.#exit;
    return this.#process.exitCode ?? this.#process.signalCode ?? 'unknown';
  }
}

/** The processes of the demo and their directory. Whatever way the demo ends, none of it stays behind. */
export class Stage {
  /** Made with mode 0700: nobody else can reach the socket in it. */
  readonly directory = mkdtempSync(join(tmpdir(), 'pillion-demo-'));
  readonly journal = join(this.directory, 'orders.journal');
  readonly socket = join(this.directory, 'monitoring.sock');
  readonly #actors = new Set<Actor>();

  constructor() {
    process.once('exit', () => this.clear());
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      process.once(signal, () => process.exit(code));
    }
  }

  start(name: string, script: string): Actor {
    const actor = new Actor(name, script, {
      PILLION_SOCKET: this.socket,
      ORDER_JOURNAL: this.journal,
      PORT: '0',
      METRICS_PORT: '0',
    });
    this.#actors.add(actor);
    return actor;
  }

  /** Synchronous, because it also runs while the process exits. */
  clear(): void {
    for (const actor of this.#actors) {
      if (actor.isRunning) actor.signal('SIGKILL');
    }
    this.#actors.clear();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
