import type { Place } from '../transports/transport.js';
import { monotonicUs } from './clock.js';
import { LatencyRecorder } from './histogram.js';
import type { Account, LogLine, Lookup, Range } from './payload.js';
import {
  blankPayload,
  makeAccount,
  plannedOf,
  replyMark,
  requestMark,
  sequenceOf,
  sequenceOfLine,
  stamp,
  stampPlanned,
  verify,
  verifyFrame,
  verifyLine,
} from './payload.js';
import type { PeerReport } from './questions.js';
import { takeUsage } from './usage.js';

type Measures = Pick<Place, 'payloadBytes' | 'itemBytes' | 'oneWay' | 'clients' | 'openLoop'>;

/**
 * What the sidecar received. Transports hand everything to it and only move bytes themselves, so every one of them does
 * the same work per message. The first fault is kept, and fails the measurement when the app asks for the report.
 */
export class Tally {
  readonly #payloadBytes: number;
  readonly #itemBytes: number;
  readonly #clients: number;
  /** One-way messages of one connection keep their order. Calls may overtake each other where a transport has several connections. */
  readonly #isOrdered: boolean;
  readonly #isStamped: boolean;
  #received = 0;
  /** Of all sequence numbers: with the count it tells lost and doubled messages apart from those that only changed places. */
  #sequenceSum = 0;
  #fault: string | undefined;
  #latency = new LatencyRecorder();

  constructor({ payloadBytes, itemBytes, oneWay, clients, openLoop }: Measures) {
    this.#payloadBytes = payloadBytes;
    this.#itemBytes = itemBytes;
    this.#clients = clients;
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
    this.#verify(request, this.#payloadBytes, sequence);
    stamp(request, sequence, replyMark);
    return request;
  }

  /** What the sidecar streams. All in the same memory: each is valid until the next one is asked for. */
  *items({ first, count }: Range): Generator<Uint8Array, void> {
    const item = blankPayload(this.#itemBytes);
    for (let sequence = first; sequence < first + count; sequence++) {
      stamp(item, sequence, replyMark);
      yield item;
    }
  }

  /** An item of an upload. */
  takeItem(item: Uint8Array): void {
    this.#verify(item, this.#itemBytes, this.#isOrdered ? this.#received + 1 : sequenceOf(item));
  }

  /** A state that the app wants the sidecar to set: nothing that has an order. */
  publish(account: Account): Account {
    this.#count(account.id);
    return account;
  }

  /** What the app has counted so far, from the beginning: nothing that arrives one by one. */
  counted(total: number): void {
    this.#received = total;
    this.#sequenceSum = (total * (total + 1)) / 2;
  }

  /** Tells all clients what a request asks for, with `push`, which returns how many it reached. The answer says what each of them cost. */
  tell(request: Uint8Array, push: (news: Uint8Array) => number): Uint8Array {
    const news = this.answer(request);
    const begun = performance.now();
    const reached = push(news);
    const spentUs = (performance.now() - begun) * 1e3;
    if (reached !== this.#clients) throw new Error(`news reached ${reached} of ${this.#clients} clients`);
    stampPlanned(news, spentUs / reached);
    return news;
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
    this.#verify(payload, this.#payloadBytes, sequence);
    if (this.#isStamped) this.#time(payload);
  }

  /** A large event. It may be the sender's memory, so nothing of it is kept. */
  frame(frame: Uint8Array): void {
    const sequence = this.#isOrdered ? this.#received + 1 : sequenceOf(frame);
    this.#count(sequence);
    try {
      verifyFrame(frame, this.#payloadBytes, sequence);
    } catch (error) {
      this.#blame(error);
    }
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

  #verify(payload: Uint8Array, length: number, sequence: number): void {
    this.#count(sequence);
    try {
      verify(payload, length, sequence, requestMark);
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
