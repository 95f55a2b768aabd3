import { parseArgs } from 'node:util';
import type { Conditions, Pattern, Placement } from './rig/lane.js';
import { leastPayloadBytes } from './rig/payload.js';
import type { Effort, Scenario } from './suite/scenarios.js';
import { full, headline, headlineScenarios, quick, scenario, scenarioNames, scenarios } from './suite/scenarios.js';
import { isTransport, transportNames } from './transports/index.js';

export const help = `Usage: pillion-bench [options]

Measures pillion and other ways of talking to a sidecar, each between two processes of this machine.

The suite, or a part of it:
  --quick                a rough run of at most 2 min instead of at most 20
  --only NAMES           scenarios, separated by commas: ${scenarioNames.join(', ')}
  --repeat NUMBER        only the rows behind the headline ratios, so many times (11 to 14 min each), and how far the ratios spread from
                         run to run: spread.json and spread.md
  --out FOLDER           of these two (bench/results of a checkout, else the current folder)

A case of your own, as soon as one of these is given:
  --payload BYTES        length of the message, at least ${leastPayloadBytes} (64)
  --pattern NAME         call: awaited, same length back; event: one way; stream, upload: items to the app or from it (call)
  --rate PER_SECOND      open loop: messages start at planned times, and latency counts from then
  --gap MICROSECONDS     closed loop with a rest after each answer (0)
  --clients NUMBER       connections of the app (1)
  --busy SHARE           of the time in which the app's event loop does something else, 0 to 0.9 (0)
  --load                 beside one other process per CPU which wants all of it
  --placement NAME       free, held (started free, then a CPU for each side), apart (started on a CPU of its own each),
                         together (one CPU for both) (free)
  --duration SECONDS     of each round (1)
  --rounds NUMBER        (3)

Both:
  --transports NAMES     separated by commas: ${transportNames.join(', ')};
                         or the path of a module whose default export is a transport of your own
  --json FILE            write environment and rows to this file
  --verbose              all columns
  --help                 show this text

Exits with 1 when a row failed. A missed bar is no failure, and a missed rate costs the row its figures only.
`;

export interface Request {
  scenarios: Scenario[];
  effort: Effort;
  /** Whether the workload with and without a sidecar is part of it. */
  withOverhead: boolean;
  /** How often the headline is measured to see its spread; undefined: an ordinary run. */
  repetitions: number | undefined;
  /** Where the spread is written to. */
  folder: string | undefined;
  jsonFile: string | undefined;
  isVerbose: boolean;
}

const text = { type: 'string' } as const;
const flag = { type: 'boolean', default: false } as const;

const options = {
  quick: flag,
  only: text,
  repeat: text,
  out: text,
  payload: text,
  pattern: text,
  rate: text,
  gap: text,
  clients: text,
  busy: text,
  load: flag,
  placement: text,
  duration: text,
  rounds: text,
  transports: text,
  json: text,
  verbose: flag,
  help: flag,
} as const;

type Values = ReturnType<typeof parse>;

/** Undefined: the user asked for help. Throws what the user has to be told. */
export function readRequest(args: readonly string[]): Request | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  const own = ['payload', 'pattern', 'rate', 'gap', 'clients', 'busy', 'placement', 'duration', 'rounds'] as const;
  const isOwn = values.load || own.some((name) => values[name] !== undefined);
  if (isOwn && (values.quick || values.only !== undefined || values.repeat !== undefined))
    throw new Error('--quick, --only and --repeat belong to the suite, not to a case of your own');
  if (values.repeat !== undefined) return repeatedRequest(values, values.repeat);
  if (values.out !== undefined) throw new Error('--out belongs to --repeat; --json FILE writes the result of a single run');
  const transports = values.transports === undefined ? undefined : list(values.transports, isTransport, transportNames);
  const output = { repetitions: undefined, folder: undefined, jsonFile: values.json, isVerbose: values.verbose };
  return { ...output, ...(isOwn ? ownRequest(values, transports ?? ['shm', 'uds', 'http']) : suiteRequest(values, transports)) };
}

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], options }).values;
}

/** A ratio needs both of its sides, so transports can't be chosen. */
function repeatedRequest(values: Values, repeat: string): Request {
  const { only, transports, json, verbose } = values;
  if (transports !== undefined || json !== undefined)
    throw new Error('--repeat goes with --only, --quick and --out, and with nothing else');
  const known = [...new Set(headlineScenarios.map(({ name }) => name))];
  const names = only === undefined ? known : list(only, (name) => known.includes(name), known);
  return {
    scenarios: headlineScenarios.filter(({ name }) => names.includes(name)),
    effort: values.quick ? quick : headline,
    withOverhead: false,
    repetitions: wholeNumber('repeat', repeat, 1, 2, 100),
    folder: values.out,
    jsonFile: undefined,
    isVerbose: verbose,
  };
}

function suiteRequest(values: Values, wanted: readonly string[] | undefined): Pick<Request, 'scenarios' | 'effort' | 'withOverhead'> {
  const effort = values.quick ? quick : full;
  const names = values.only === undefined ? scenarioNames : list(values.only, (name) => scenarioNames.includes(name), scenarioNames);
  const files = wanted?.filter((name) => !transportNames.includes(name)) ?? [];
  const chosen = scenarios
    .filter(({ name }) => names.includes(name))
    .map((each) => {
      const known = each.transports.filter((name) => effort.includes(each, name) && (wanted?.includes(name) ?? true));
      return { ...each, transports: each.name === 'limits' ? known : [...known, ...files] };
    })
    .filter(({ transports }) => transports.length > 0);
  return { scenarios: chosen, effort, withOverhead: names.includes('overhead') && wanted === undefined };
}

function ownRequest(values: Values, transports: readonly string[]): Pick<Request, 'scenarios' | 'effort' | 'withOverhead'> {
  const conditions: Partial<Conditions> = {
    payloadBytes: wholeNumber('payload', values.payload, 64, leastPayloadBytes, 2 ** 30),
    pattern: oneOf<Pattern>('pattern', values.pattern, 'call', ['call', 'event', 'stream', 'upload']),
    ratePerSec: number('rate', values.rate, 0, 1, 1e6),
    gapUs: number('gap', values.gap, 0, 0, 1e6),
    clients: wholeNumber('clients', values.clients, 1, 1, 1_000),
    busyShare: number('busy', values.busy, 0, 0, 0.9),
    placement: oneOf<Placement>('placement', values.placement, 'free', ['free', 'held', 'apart', 'together']),
    cpuLoad: values.load,
  };
  if (values.rate !== undefined && values.gap !== undefined)
    throw new Error('--rate and --gap exclude each other: a rate says when messages start');
  const durationMs = number('duration', values.duration, 1, 0.05, 600) * 1_000;
  const rounds = wholeNumber('rounds', values.rounds, 3, 1, 100);
  const alone = transports.find((name) => name === 'worker' || name.startsWith('limit'));
  if (conditions.placement !== 'free' && alone !== undefined)
    throw new Error(`--placement=${conditions.placement} needs a sidecar process that can be placed, and ${alone} has none`);
  const plan = { runInMs: 500, warmupMs: 200, durationMs };
  const plans = { flowing: plan, gapped: plan, open: plan, idle: plan, crowd: plan };
  const budgetMs = 60_000 + transports.length * (rounds * (durationMs + 10_000) + 10_000);
  const { held: _, ...rest } = full;
  const effort = { ...rest, plans, rounds, budgetMs, includes: () => true };
  return { scenarios: [scenario('own', transports, conditions)], effort, withOverhead: false };
}

function number(name: string, value: string | undefined, otherwise: number, least: number, most: number): number {
  if (value === undefined) return otherwise;
  const result = Number(value);
  if (value.trim() === '' || !(result >= least && result <= most))
    throw new Error(`--${name}=${value} is no number from ${least} to ${most}`);
  return result;
}

function wholeNumber(name: string, value: string | undefined, otherwise: number, least: number, most: number): number {
  const result = number(name, value, otherwise, least, most);
  if (!Number.isInteger(result)) throw new Error(`--${name}=${value} is no whole number`);
  return result;
}

function oneOf<T extends string>(name: string, value: string | undefined, otherwise: T, known: readonly T[]): T {
  if (value === undefined) return otherwise;
  if (!known.includes(value as T)) throw new Error(`--${name}=${value} is none of ${known.join(', ')}`);
  return value as T;
}

function list(value: string, isKnown: (name: string) => boolean, known: readonly string[]): readonly string[] {
  const names = value.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !isKnown(name));
  if (unknown !== undefined) throw new Error(`unknown name=${unknown}; known: ${known.join(', ')}`);
  return names;
}
