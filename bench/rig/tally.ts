import type { Place } from '../transports/transport.js';
import { monotonicUs } from './clock.js';
import { LatencyRecorder } from './histogram.js';
import type { Account, LogLine, Lookup } from './payload.js';
import { makeAccount, plannedOf, replyMark, requestMark, sequenceOf, sequenceOfLine, stamp, verify, verifyLine } from './payload.js';
import type { PeerReport } from './questions.js';
import { takeUsage } from './usage.js';

/**
 * What the sidecar received. Transports hand everything to it and only move bytes themselves, so every one of them does
 * the same work per message. The first fault is kept, and fails the measurement when the app asks for the report.
 */
export class Tally {
  readonly #payloadBytes: number;
  /** One-way messages of one connection keep their order. Calls may overtake each other where a transport has several connections. */
  readonly #isOrdered: boolean;
  readonly #isStamped: boolean;
  #received = 0;
  /** Of all sequence numbers: with the count it tells lost and doubled messages apart from those that only changed places. */
  #sequenceSum = 0;
  #fault: string | undefined;
  #latency = new LatencyRecorder();

  constructor({ payloadBytes, oneWay, clients, openLoop }: Pick<Place, 'payloadBytes' | 'oneWay' | 'clients' | 'openLoop'>) {
    this.#payloadBytes = payloadBytes;
    this.#isOrdered = oneWay && clients === 1;
    this.#isStamped = oneWay && openLoop;
  }

  get fault(): string | undefined {
    return this.#fault;
  }

  /** Of what was received so far, and of the calling process. */
  report(): PeerReport {
    return {
      received: this.#received,
      sequenceSum: this.#sequenceSum,
      fault: this.#fault,
      latency: this.#latency.latency(),
      ...takeUsage(),
    };
  }

  /** A raw call: the reply is the request's own memory, stamped again. */
  answer(request: Uint8Array): Uint8Array {
    const sequence = sequenceOf(request);
    this.#verify(request, sequence);
    stamp(request, sequence, replyMark);
    return request;
  }

  lookup(request: Lookup): Account {
    this.#count(request.id);
    try {
      return makeAccount(request);
    } catch (error) {
      this.#blame(error);
      throw error;
    }
  }

  /** A raw event. */
  take(payload: Uint8Array): void {
    const sequence = this.#isOrdered ? this.#received + 1 : sequenceOf(payload);
    this.#verify(payload, sequence);
    if (this.#isStamped) this.#time(payload);
  }

  line(line: LogLine): void {
    const sequence = this.#isOrdered ? this.#received + 1 : sequenceOfLine(line);
    this.#count(sequence);
    try {
      verifyLine(line, sequence);
    } catch (error) {
      this.#blame(error);
    }
  }

  /** Events of the warm-up have no planned time; the first of them after a measurement begins a new one. */
  #time(payload: Uint8Array): void {
    const plannedUs = plannedOf(payload);
    if (plannedUs > 0) this.#latency.record(monotonicUs() - plannedUs);
    else if (this.#latency.sampleCount > 0) this.#latency = new LatencyRecorder();
  }

  #verify(payload: Uint8Array, sequence: number): void {
    this.#count(sequence);
    try {
      verify(payload, this.#payloadBytes, sequence, requestMark);
    } catch (error) {
      this.#blame(error);
    }
  }

  #count(sequence: number): void {
    this.#received++;
    this.#sequenceSum += sequence;
  }

  #blame(error: unknown): void {
    this.#fault ??= (error as Error).message;
  }
}
