import type { Account, LogLine, Lookup } from './payload.js';
import { makeAccount, replyMark, requestMark, stamp, verify, verifyLine } from './payload.js';

/**
 * What the sidecar received. Transports hand everything to it and only move bytes themselves, so every one of them does
 * the same work per message. The first fault is kept, and fails the measurement when the app asks for the report.
 */
export class Tally {
  readonly #payloadBytes: number;
  #received = 0;
  #fault: string | undefined;

  constructor(payloadBytes: number) {
    this.#payloadBytes = payloadBytes;
  }

  get received(): number {
    return this.#received;
  }

  get fault(): string | undefined {
    return this.#fault;
  }

  /** A raw call: the reply is the request's own memory, stamped again. */
  answer(request: Uint8Array): Uint8Array {
    this.take(request);
    stamp(request, this.#received, replyMark);
    return request;
  }

  lookup(request: Lookup): Account {
    this.#received++;
    try {
      return makeAccount(request, this.#received);
    } catch (error) {
      this.#blame(error);
      throw error;
    }
  }

  take(payload: Uint8Array): void {
    this.#received++;
    try {
      verify(payload, this.#payloadBytes, this.#received, requestMark);
    } catch (error) {
      this.#blame(error);
    }
  }

  line(line: LogLine): void {
    this.#received++;
    try {
      verifyLine(line, this.#received);
    } catch (error) {
      this.#blame(error);
    }
  }

  #blame(error: unknown): void {
    this.#fault ??= (error as Error).message;
  }
}
