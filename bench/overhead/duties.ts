import { createHmac, timingSafeEqual } from 'node:crypto';
import type { WriteStream } from 'node:fs';
import { createWriteStream } from 'node:fs';
import { Counter, Histogram, Registry } from 'prom-client';
import { LineCounter } from './line-counter.js';

export interface LogEntry {
  level: number;
  time: number;
  msg: string;
  route: string;
  ms: number;
}

export interface Sample {
  route: string;
  ms: number;
}

/** How much of each duty was done: by own count, and by what can be read in the log file and in the metrics. */
export interface Done {
  verified: number;
  lines: number;
  counted: number;
  observed: number;
}

const secret = 'the secret of the bench';
const users = Array.from({ length: 64 }, (_, index) => `user-${index}`);

/** What apps leave to sidecars: authentication, a log, metrics. The same code runs inside the app and in either sidecar. */
export class Duties {
  readonly #roles = new Map(users.map((user, index) => [user, index % 2 === 0 ? 'buyer' : 'admin']));
  readonly #log: WriteStream;
  readonly #lines: LineCounter;
  readonly #registry = new Registry();
  readonly #requests = new Counter({ name: 'requests', help: 'Requests', labelNames: ['route'], registers: [this.#registry] });
  readonly #duration = new Histogram({ name: 'duration', help: 'Milliseconds', labelNames: ['route'], registers: [this.#registry] });
  #verified = 0;
  #taken = 0;

  constructor(logPath: string) {
    this.#log = createWriteStream(logPath);
    this.#lines = new LineCounter(logPath);
  }

  /** The role of the token's user; throws when it was not signed by us. */
  verify(token: string): string {
    this.#taken++;
    const [user = '', signature = ''] = token.split('.');
    const expected = sign(user);
    const given = Buffer.from(signature, 'hex');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new Error('the token is not ours');
    const role = this.#roles.get(user);
    if (role === undefined) throw new Error(`user=${user} is unknown`);
    this.#verified++;
    return role;
  }

  log(entry: LogEntry): void {
    this.#taken++;
    this.#log.write(`${JSON.stringify(entry)}\n`);
  }

  measure({ route, ms }: Sample): void {
    this.#taken++;
    this.#requests.inc({ route });
    this.#duration.observe({ route }, ms);
  }

  /** Of all duties so far; 0 of them open means that their CPU time is spent. */
  get progress(): { taken: number; isWritten: boolean } {
    return { taken: this.#taken, isWritten: this.#log.writableLength === 0 };
  }

  /** Everything written before an empty chunk is in the file when that one is. */
  async flush(): Promise<void> {
    if (this.#log.writableLength > 0) await new Promise((resolve) => this.#log.write('', resolve));
  }

  async done(): Promise<Done> {
    await this.flush();
    const counted = (await this.#requests.get()).values.reduce((sum, { value }) => sum + value, 0);
    const counts = (await this.#duration.get()).values.filter(({ metricName }) => metricName === 'duration_count');
    const observed = counts.reduce((sum, { value }) => sum + value, 0);
    return { verified: this.#verified, lines: this.#lines.count(), counted, observed };
  }
}

const tokens = users.map((user) => `${user}.${sign(user).toString('hex')}`);

export function tokenOf(request: number): string {
  return tokens[request % tokens.length] as string;
}

function sign(user: string): Buffer {
  return createHmac('sha256', secret).update(user).digest();
}
