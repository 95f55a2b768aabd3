import { createHmac, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import type { WriteStream } from 'node:fs';
import { createWriteStream, readFileSync } from 'node:fs';
import { Counter, Histogram, Registry } from 'prom-client';

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

/** How much of each duty was done. */
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
  readonly #path: string;
  readonly #log: WriteStream;
  readonly #registry = new Registry();
  readonly #requests = new Counter({ name: 'requests', help: 'Requests', labelNames: ['route'], registers: [this.#registry] });
  readonly #duration = new Histogram({ name: 'duration', help: 'Milliseconds', labelNames: ['route'], registers: [this.#registry] });
  #verified = 0;

  constructor(logPath: string) {
    this.#path = logPath;
    this.#log = createWriteStream(logPath);
  }

  /** The role of the token's user; throws when it was not signed by us. */
  verify(token: string): string {
    const [user = '', signature = ''] = token.split('.');
    if (!timingSafeEqual(Buffer.from(signature, 'hex'), sign(user))) throw new Error('the token is not ours');
    this.#verified++;
    return this.#roles.get(user) ?? 'none';
  }

  log(entry: LogEntry): void {
    this.#log.write(`${JSON.stringify(entry)}\n`);
  }

  measure({ route, ms }: Sample): void {
    this.#requests.inc({ route });
    this.#duration.observe({ route }, ms);
  }

  async done(): Promise<Done> {
    // Everything written before an empty chunk is in the file when that one is.
    if (this.#log.writableLength > 0) await new Promise((resolve) => this.#log.write('', resolve));
    const lines = readFileSync(this.#path, 'utf8').split('\n').length - 1;
    const counted = (await this.#requests.get()).values.reduce((sum, { value }) => sum + value, 0);
    const counts = (await this.#duration.get()).values.filter(({ metricName }) => metricName === 'duration_count');
    return { verified: this.#verified, lines, counted, observed: counts.reduce((sum, { value }) => sum + value, 0) };
  }

  async close(): Promise<void> {
    this.#log.end();
    await once(this.#log, 'close');
  }
}

const tokens = users.map((user) => `${user}.${sign(user).toString('hex')}`);

export function tokenOf(request: number): string {
  return tokens[request % tokens.length] as string;
}

function sign(user: string): Buffer {
  return createHmac('sha256', secret).update(user).digest();
}
