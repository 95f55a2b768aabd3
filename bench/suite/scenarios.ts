import type { Conditions, RoundPlan } from '../rig/lane.js';
import { makeAccount, makeLine, makeLookup } from '../rig/payload.js';
import { bars } from './bars.js';

export interface Scenario extends Conditions {
  name: string;
  transports: readonly string[];
}

const lineBytes = Buffer.byteLength(JSON.stringify(makeLine(1)));
const lookupBytes = Buffer.byteLength(JSON.stringify(makeLookup(1)));
const accountBytes = Buffer.byteLength(JSON.stringify(makeAccount(makeLookup(1))));
const kiB = 1_024;
const miB = 1_024 * kiB;

const anyCall: Conditions = {
  pattern: 'call',
  payloadBytes: 64,
  gapUs: 0,
  ratePerSec: 0,
  clients: 1,
  idleClients: 0,
  busyShare: 0,
  cpuLoad: false,
  placement: 'free',
};

const pillion = ['shm', 'shm-park', 'shm-spin', 'socket'];
const sockets = ['uds', 'tcp'];
const http = ['http', 'http-uds', 'fetch', 'undici', 'undici-uds', 'http2'];
const brokers = ['nats', 'redis'];
const files = ['file-write', 'file-tail', 'file-append', 'fifo', 'signal-file'];
const everyCall = [...pillion, 'function', 'worker', ...sockets, ...http, 'grpc', 'zeromq', 'ipc-json', 'ipc-advanced', 'ws', ...brokers];

/** For comparisons along one axis: pillion, and the neighbours that are mostly used. */
const few = ['shm', 'uds', 'http'];
const some = ['shm', 'shm-park', 'shm-spin', 'uds', 'http'];

const line = { pattern: 'send', payloadBytes: lineBytes } as const;
const lookup = { pattern: 'lookup', payloadBytes: lookupBytes } as const;
const events = { pattern: 'event' } as const;
const held = { placement: 'held' } as const;
const stream = { pattern: 'stream' } as const;
const upload = { pattern: 'upload' } as const;
const crowd = { pattern: 'crowd' } as const;

/** Streams, states and broadcasts: what a conversation has beside events and calls. Not part of the headline, whose spread has a budget of its own. */
const conversations: readonly Scenario[] = [
  ...sweep('stream', 'payloadBytes', [64, kiB], ['shm', 'uds', 'http', 'grpc'], { ...held, ...stream }),
  ...sweep('upload', 'payloadBytes', [64, kiB], ['shm', 'uds', 'http'], { ...held, ...upload }),
  scenario('payload-sweep', ['shm', 'uds'], { ...held, payloadBytes: 16 * miB }),
  scenario('fan-out', ['shm'], { ...held, pattern: 'fan-out', payloadBytes: 256, clients: 100 }),
  scenario('zero-copy', ['shm', 'shm-copy'], { ...held, pattern: 'frame', payloadBytes: miB }),
  scenario('read', ['shm', 'socket', 'function'], { pattern: 'read', payloadBytes: accountBytes }),
  scenario('count', ['shm', 'function'], { pattern: 'count', payloadBytes: 8 }),
  scenario('beside-upload', ['shm', 'http'], { ...held, pattern: 'beside-upload', ratePerSec: 1_000 }),
  ...sweep('crowd', 'idleClients', [0, 1_000], ['shm'], { ...held, ...crowd }),
  ...sweep('stream', 'payloadBytes', [64, kiB], ['shm', 'socket', 'uds'], stream),
];

/** The table of what is measured. Rows of one scenario that differ in a single condition form a sweep along it. */
export const scenarios: readonly Scenario[] = [
  ...sweep('limits', 'payloadBytes', [64, kiB, 64 * kiB, miB, 16 * miB], ['limit-ring']),
  scenario('limits', ['limit-stream'], { pattern: 'event' }),
  scenario('limits', ['limit-line', 'limit-syscall'], { payloadBytes: 8 }),
  ...sweep('limits', 'payloadBytes', [64 * kiB, miB, 16 * miB], ['limit-memcpy']),
  ...sweep('limits', 'gapUs', [1_000, 100_000], ['limit-wake']),

  // What the headline and the bars are read from, first, should the time be up before the end; and without the scheduler's share in it.
  scenario('send', ['shm', 'function', 'file-write', 'file-tail', 'file-append'], { ...held, ...line }),
  scenario('send', ['shm', 'function', 'file-write'], { ...held, ...line, gapUs: 1_000 }),
  scenario('call', ['shm', 'function', 'uds', 'http', 'fetch'], held),
  scenario('call-object', ['shm', 'http'], { ...held, ...lookup }),
  scenario('call-sync', ['shm', 'limit-ring'], { ...held, pattern: 'call-sync' }),
  scenario('one-way', ['shm', 'uds'], { ...held, ...events }),
  scenario('call-large', ['shm', 'uds'], { ...held, payloadBytes: miB }),
  scenario('gap-sweep', ['shm', 'uds'], { ...held, gapUs: 1_000 }),
  scenario('idle', ['shm', 'socket', 'uds'], { pattern: 'idle' }),
  ...conversations,

  scenario('send', ['shm', 'socket', 'function', ...files], line),
  scenario('send', ['shm', 'socket', 'function', 'file-write', 'file-append', 'fifo'], { ...line, gapUs: 1_000 }),
  scenario('call', everyCall),
  scenario(
    'call-object',
    ['shm', 'socket', 'function', 'worker', 'http', 'http-uds', 'fetch', 'undici', 'ipc-json', 'ipc-advanced', 'ws'],
    lookup,
  ),
  scenario('call-sync', ['shm', 'function', 'limit-ring'], { pattern: 'call-sync' }),
  scenario('one-way', ['shm', 'socket', ...sockets, 'worker', 'zeromq', 'ipc-advanced', 'ws', 'fifo', ...brokers], events),
  scenario('call-large', ['shm', 'socket', 'uds', 'http'], { payloadBytes: miB }),

  // Those that always park or always spin, and transports that are there for comparison, have fewer points in each sweep.
  ...sweep('gap-sweep', 'gapUs', [0, 100, 1_000, 10_000], some),
  ...sweep('gap-sweep', 'gapUs', [10, 100_000], few),
  ...sweep('payload-sweep', 'payloadBytes', [16, 4 * kiB, miB, 16 * miB], ['shm', 'socket', 'uds', 'http', 'grpc']),
  ...sweep('payload-sweep', 'payloadBytes', [512, 64 * kiB], few),
  ...sweep('rate', 'ratePerSec', [1_000, 5_000], [...some, 'function']),
  scenario('rate', few, { ratePerSec: 100 }),
  // HTTP ends below 20,000 a second.
  scenario('rate', ['shm', 'shm-park', 'shm-spin', 'uds'], { ratePerSec: 20_000 }),
  ...sweep('event-latency', 'ratePerSec', [1_000, 10_000], ['shm', 'uds', 'zeromq', 'fifo', 'file-tail', 'signal-file'], {
    pattern: 'event',
  }),
  scenario('event-latency', ['shm', 'uds', 'file-tail'], { pattern: 'event', ratePerSec: 100 }),
  // Its way through the thread pool ends below 10,000 a second.
  scenario('event-latency', ['file-append'], { pattern: 'event', ratePerSec: 1_000 }),
  ...sweep('clients', 'clients', [1, 10, 100], few),
  scenario('load', some, { cpuLoad: true }),
  scenario('load', few, { cpuLoad: true, gapUs: 1_000 }),
  scenario('busy', few, { busyShare: 0.5, ratePerSec: 1_000 }),
  scenario('placement', ['shm', 'shm-spin', 'uds', 'http'], { placement: 'apart' }),
  scenario('placement', ['shm', 'uds', 'http'], { placement: 'together' }),
];

/** What the run-to-run spread is measured of: of the held rows those that a ratio or a bar is read from. */
export const headlineScenarios: readonly Scenario[] = scenarios
  .filter((each) => each.placement === 'held' && !conversations.includes(each))
  .map(withNeededTransports);

function withNeededTransports(each: Scenario): Scenario {
  const baselines = bars.filter(({ scenario: name, gapUs }) => name === each.name && gapUs === each.gapUs).map(({ baseline }) => baseline);
  return { ...each, transports: each.transports.filter((transport) => transport === 'shm' || baselines.includes(transport)) };
}

export const scenarioNames = [...new Set(scenarios.map(({ name }) => name)), 'overhead'];

export function scenario(name: string, transports: readonly string[], conditions: Partial<Conditions> = {}): Scenario {
  return { ...anyCall, ...conditions, name, transports };
}

function sweep<K extends keyof Conditions>(
  name: string,
  key: K,
  values: readonly Conditions[K][],
  transports: readonly string[],
  conditions: Partial<Conditions> = {},
): Scenario[] {
  return values.map((value) => scenario(name, transports, { ...conditions, [key]: value }));
}

export type Pace = 'flowing' | 'gapped' | 'open' | 'idle' | 'crowd';

export function paceOf({ pattern, gapUs, ratePerSec }: Conditions): Pace {
  if (pattern === 'idle' || pattern === 'crowd') return pattern;
  if (ratePerSec > 0) return 'open';
  return gapUs > 0 ? 'gapped' : 'flowing';
}

/** Of a scenario in a pass. */
export interface Turns {
  /** How often it gets new processes. */
  starts: number;
  /** With the same processes. */
  rounds: number;
}

export interface Effort {
  name: 'full' | 'quick' | 'headline';
  /** No round starts or lasts beyond it. */
  budgetMs: number;
  /** What waiting for a calm machine, and measuring anew, may cost the held rows, all together; each pass has its share. */
  patienceMs: number;
  /** How often the table is run from top to bottom, in new processes each time. */
  passes: number;
  /** Of each row, in each pass. */
  rounds: number;
  /** Whether system calls are counted, in a round of their own. */
  countsSyscalls: boolean;
  /** Whether the table's line is part of it. */
  includes(scenario: Scenario, transport: string): boolean;
  plans: Record<Pace, RoundPlan>;
  /** Where the held rows have rounds of their own: more of them and shorter ones, so that the median is steadier. */
  held?: {
    plans: Record<'flowing' | 'gapped', RoundPlan>;
    turns(scenario: Scenario): Turns;
  };
  /** Measuring the workload with and without a sidecar: rounds of each variant, and how long one is. */
  overhead: { rounds: number; durationMs: number; ratePerSec: number };
}

/** What has long gaps needs more time for as many samples. */
export function planFor(effort: Effort, conditions: Conditions): RoundPlan {
  const plan = planOfPace(effort, conditions);
  if (conditions.pattern === 'idle') return plan;
  const gapMs = conditions.gapUs / 1_000;
  const leastSamples = 12;
  return {
    ...plan,
    warmupMs: Math.max(plan.warmupMs, 2 * gapMs),
    durationMs: Math.max(plan.durationMs, leastSamples * gapMs),
  };
}

function planOfPace({ plans, held: own }: Effort, conditions: Conditions): RoundPlan {
  const pace = paceOf(conditions);
  return (hasHeldPlan(conditions) && own?.plans[pace as keyof typeof own.plans]) || plans[pace];
}

export function turnsFor({ rounds, held: own }: Effort, scenario: Scenario): Turns {
  return own && hasHeldPlan(scenario) ? own.turns(scenario) : { starts: 1, rounds };
}

/** The others last long anyway. */
function hasHeldPlan(conditions: Conditions): boolean {
  return conditions.placement === 'held' && ['flowing', 'gapped'].includes(paceOf(conditions));
}

export const full: Effort = {
  name: 'full',
  budgetMs: 1_140_000,
  patienceMs: 60_000,
  passes: 1,
  rounds: 3,
  countsSyscalls: true,
  includes: () => true,
  plans: {
    flowing: { runInMs: 800, warmupMs: 150, durationMs: 550 },
    gapped: { runInMs: 500, warmupMs: 150, durationMs: 900 },
    open: { runInMs: 500, warmupMs: 150, durationMs: 1_000 },
    idle: { runInMs: 100, warmupMs: 0, durationMs: 10_000 },
    crowd: { runInMs: 500, warmupMs: 150, durationMs: 2_500 },
  },
  held: {
    plans: {
      flowing: { runInMs: 500, runInOperations: 6_000, warmupMs: 40, durationMs: 200 },
      gapped: { runInMs: 500, warmupMs: 50, durationMs: 300 },
    },
    turns: () => ({ starts: 1, rounds: 10 }),
  },
  overhead: { rounds: 3, durationMs: 3_000, ratePerSec: 1_000 },
};

/**
 * One repetition of the held rows. Many short rounds in several passes, for which a full run has no time: what the compiler, the layout of memory and the places
 * of the CPUs happened to be in one pair of processes, or in one noisy minute, would be most of the spread; and the shorter a turn, the more of what happens
 * meanwhile meets both sides of a ratio.
 */
export const headline: Effort = {
  ...full,
  name: 'headline',
  budgetMs: 840_000,
  patienceMs: 90_000,
  passes: 9,
  countsSyscalls: false,
  held: {
    plans: {
      flowing: { runInMs: 700, runInOperations: 6_000, warmupMs: 10, durationMs: 50 },
      gapped: { runInMs: 300, warmupMs: 10, durationMs: 60 },
    },
    turns: headlineTurns,
  },
};

/**
 * As many as it takes for a standard error of about 3 % of each ratio, by what was seen on a virtual machine: from round to round ratios differed by a fifth to a quarter, that of `callSync`
 * by two fifths, and from start to start by a tenth more, that of `send` after a gap by a sixth. After Kalibera and Jones, "Rigorous benchmarking in
 * reasonable time" (2013): repeat most what varies most, at the level where it varies.
 */
function headlineTurns({ name, gapUs }: Scenario): Turns {
  if (gapUs > 0) return { starts: name === 'send' ? 6 : 3, rounds: 4 };
  return { starts: 1, rounds: headlineRounds[name] ?? 6 };
}

const headlineRounds: Record<string, number> = { send: 18, call: 24, 'call-object': 18, 'call-sync': 48, 'call-large': 24 };

/** What a quick run leaves out: the long tail of transports and of each sweep. */
const quickTransports = [
  'shm',
  'shm-copy',
  'function',
  'uds',
  'http',
  'fetch',
  'undici',
  'zeromq',
  'ipc-advanced',
  'file-write',
  'file-append',
];
const quickValues: Record<string, (conditions: Conditions) => boolean> = {
  limits: ({ payloadBytes, gapUs }) => payloadBytes <= miB && gapUs < 100_000,
  'gap-sweep': ({ gapUs }) => gapUs <= 1_000 && gapUs !== 10,
  'payload-sweep': ({ payloadBytes }) => payloadBytes === 4 * kiB || payloadBytes === 64 * kiB,
  rate: ({ ratePerSec }) => ratePerSec === 1_000,
  'event-latency': ({ ratePerSec }) => ratePerSec === 1_000,
  // What many connections cost shows in `fan-out` and `crowd`.
  clients: () => false,
  load: ({ gapUs }) => gapUs === 0,
  placement: ({ placement }) => placement === 'apart',
  stream: ({ placement }) => placement === 'held',
  upload: ({ payloadBytes }) => payloadBytes === kiB,
};
/** Of which a quick run has pillion and the neighbours that are mostly used. */
const sweeps = ['stream', 'upload', 'gap-sweep', 'payload-sweep', 'rate', 'event-latency', 'clients', 'load', 'busy', 'placement'];

export const quick: Effort = {
  name: 'quick',
  budgetMs: 105_000,
  patienceMs: 4_000,
  passes: 1,
  rounds: 3,
  countsSyscalls: false,
  includes(scenario, transport) {
    // Beside callSync the limit is needed once, where both are held.
    if (transport.startsWith('limit'))
      return quickValues['limits']?.(scenario) === true && (scenario.name === 'limits' || scenario.placement === 'held');
    const isChosen = sweeps.includes(scenario.name)
      ? few.includes(transport)
      : quickTransports.includes(transport) || scenario.name === 'idle';
    const isSlow = scenario.gapUs > 0 && (scenario.placement === 'held' || (scenario.name === 'send' && transport === 'file-append'));
    return isChosen && !isSlow && (quickValues[scenario.name]?.(scenario) ?? true);
  },
  plans: {
    flowing: { runInMs: 150, warmupMs: 20, durationMs: 80 },
    gapped: { runInMs: 150, warmupMs: 20, durationMs: 150 },
    open: { runInMs: 150, warmupMs: 50, durationMs: 200 },
    idle: { runInMs: 50, warmupMs: 0, durationMs: 2_000 },
    crowd: { runInMs: 100, warmupMs: 20, durationMs: 500 },
  },
  overhead: { rounds: 2, durationMs: 500, ratePerSec: 1_000 },
};
