import type { Place } from '../transports/transport.js';
import type { Latency } from './histogram.js';
import type { Lane, Outcome, RoundPlan } from './lane.js';
import type { Usage } from './usage.js';

/** What the sidecar has received and used since its start. */
export interface PeerReport extends Usage {
  received: number;
  sequenceSum: number;
  fault: string | undefined;
  /** Of events since their planned times. */
  latency: Latency | undefined;
}

/** What the processes of the suite ask each other over their IPC channel, beside the traffic that is measured. */
export interface Questions {
  /** Suite to app: start the sidecar and connect. The answer is the sidecar's process id, if there is one. */
  open: [Lane, number | null];
  /** Suite to app: measure once. */
  round: [RoundPlan, Outcome];
  /** App to sidecar: serve this transport. The answer is its address. */
  serve: [{ transport: string; place: Place }, string];
  /** App to sidecar: what have you seen and used so far? */
  report: [null, PeerReport];
  /** App to sidecar: how many bytes live on your heap? */
  heap: [null, number];
  /** App to a process of the crowd: open so many connections and let them be. */
  gather: [{ transport: string; place: Place; address: string; count: number }, null];
  /** App to a process of the crowd: one call on each connection, numbered from `first` on. */
  wake: [{ first: number }, null];
  /** To each of them: finish and exit. */
  close: [null, null];
}

export type Question = keyof Questions;
export type Argument<Q extends Question> = Questions[Q][0];
export type Answer<Q extends Question> = Questions[Q][1];

export interface Asked {
  id: number;
  question: Question;
  argument: unknown;
}

export interface Answered {
  id: number;
  answer?: unknown;
  error?: string;
  /** The error says that this machine lacks something, not that something went wrong. */
  unavailable?: boolean;
}

/** Thrown by a transport that can't run here; the row then says "skipped" instead of "failed". */
export class Unavailable extends Error {
  override name = 'Unavailable';
}

export type Answers = { [Q in Question]?: (argument: Argument<Q>) => Promise<Answer<Q>> | Answer<Q> };

/** Serves the parent process's questions until it goes away; then this process has no purpose and ends. */
export function answerParent(answers: Answers): void {
  process.on('message', async ({ id, question, argument }: Asked) => {
    const reply = await settle(id, () => (answers[question] as (argument: unknown) => unknown)(argument));
    process.send?.(reply);
  });
  process.once('disconnect', () => process.exit(0));
}

async function settle(id: number, work: () => unknown): Promise<Answered> {
  try {
    return { id, answer: (await work()) ?? null };
  } catch (error) {
    const { message } = error as Error;
    return { id, error: message, unavailable: error instanceof Unavailable };
  }
}
