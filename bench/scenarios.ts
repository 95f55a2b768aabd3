import { makeLine, makeLookup } from './payload.js';
import type { Pattern, RoundPlan } from './questions.js';

export interface Scenario {
  name: string;
  pattern: Pattern;
  payloadBytes: number;
  /** Rest between two operations; 0: the next one starts at once. */
  gapUs: number;
  transports: string[];
  pace: Pace;
}

export type Pace = 'flowing' | 'gapped' | 'idle';

const lineBytes = Buffer.byteLength(JSON.stringify(makeLine(1)));
const lookupBytes = Buffer.byteLength(JSON.stringify(makeLookup(1)));

const shm = 'pillion-shm';
const socket = 'pillion-socket';

export const scenarios: readonly Scenario[] = [
  {
    name: 'send',
    pattern: 'send',
    payloadBytes: lineBytes,
    gapUs: 0,
    transports: [shm, socket, 'function', 'file-write', 'file-append'],
    pace: 'flowing',
  },
  {
    name: 'send',
    pattern: 'send',
    payloadBytes: lineBytes,
    gapUs: 1_000,
    transports: [shm, socket, 'function', 'file-write', 'file-append'],
    pace: 'gapped',
  },
  {
    name: 'call',
    pattern: 'call',
    payloadBytes: 64,
    gapUs: 0,
    transports: [shm, socket, 'function', 'uds', 'tcp', 'http', 'http-uds', 'fetch'],
    pace: 'flowing',
  },
  {
    name: 'call',
    pattern: 'call',
    payloadBytes: 64,
    gapUs: 1_000,
    transports: [shm, socket, 'uds', 'tcp', 'http', 'fetch'],
    pace: 'gapped',
  },
  {
    name: 'call-object',
    pattern: 'lookup',
    payloadBytes: lookupBytes,
    gapUs: 0,
    transports: [shm, socket, 'function', 'http', 'http-uds', 'fetch'],
    pace: 'flowing',
  },
  {
    name: 'call-sync',
    pattern: 'call-sync',
    payloadBytes: 64,
    gapUs: 0,
    transports: [shm, 'function', 'limit'],
    pace: 'flowing',
  },
  {
    name: 'one-way',
    pattern: 'stream',
    payloadBytes: 64,
    gapUs: 0,
    transports: [shm, socket, 'uds', 'tcp'],
    pace: 'flowing',
  },
  {
    name: 'call-large',
    pattern: 'call',
    payloadBytes: 2 ** 20,
    gapUs: 0,
    transports: [shm, socket, 'uds', 'http'],
    pace: 'flowing',
  },
  { name: 'idle', pattern: 'idle', payloadBytes: 64, gapUs: 0, transports: [shm, socket, 'uds'], pace: 'idle' },
];

export const scenarioNames = [...new Set(scenarios.map(({ name }) => name))];

export interface Effort {
  name: 'full' | 'quick';
  /** No round starts or lasts beyond it. */
  budgetMs: number;
  rounds: number;
  /** Transports that are left out. */
  without: Record<Pace, readonly string[]>;
  plans: Record<Pace, RoundPlan>;
}

export const full: Effort = {
  name: 'full',
  budgetMs: 290_000,
  rounds: 3,
  without: { flowing: [], gapped: [], idle: [] },
  plans: {
    flowing: { runInMs: 1_000, warmupMs: 200, durationMs: 900 },
    gapped: { runInMs: 1_000, warmupMs: 200, durationMs: 1_500 },
    idle: { runInMs: 100, warmupMs: 0, durationMs: 10_000 },
  },
};

export const quick: Effort = {
  name: 'quick',
  budgetMs: 40_000,
  rounds: 3,
  // What no bar needs, and what costs the most time.
  without: { flowing: [], gapped: [socket, 'tcp', 'http', 'fetch', 'file-append'], idle: [] },
  plans: {
    flowing: { runInMs: 150, warmupMs: 20, durationMs: 80 },
    gapped: { runInMs: 150, warmupMs: 20, durationMs: 150 },
    idle: { runInMs: 50, warmupMs: 0, durationMs: 2_000 },
  },
};
