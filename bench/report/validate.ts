import type { OverheadRow, Row, Verdict } from '../result.js';

/** The type of a field: a question mark allows null. */
type Kind = 'string' | 'boolean' | 'number' | 'number?' | 'string?';

const ofRow: Partial<Record<keyof Row, Kind>> = {
  scenario: 'string',
  transport: 'string',
  status: 'string',
  placement: 'string',
  payloadBytes: 'number',
  gapUs: 'number',
  ratePerSec: 'number',
  clients: 'number',
  busyShare: 'number',
  cpuLoad: 'boolean',
  count: 'number',
  rounds: 'number',
  batch: 'number?',
  p50Us: 'number?',
  p90Us: 'number?',
  p99Us: 'number?',
  p999Us: 'number?',
  p9999Us: 'number?',
  maxUs: 'number?',
  opsPerSec: 'number?',
  cpuUsPerOp: 'number?',
  appCpuUsPerOp: 'number?',
  sidecarCpuUsPerOp: 'number?',
  switchesPerOp: 'number?',
  syscallsPerOp: 'number?',
  limit: 'string?',
  timesLimit: 'number?',
};
/** Placement and rounds came later; a result without them is still one. */
const ofVerdict: Record<Exclude<keyof Verdict, 'placement' | 'rounds'>, Kind> = {
  what: 'string',
  value: 'number?',
  unit: 'string',
  bar: 'string',
  aim: 'string',
  verdict: 'string',
};
const ofOverhead: Partial<Record<keyof OverheadRow, Kind>> = {
  variant: 'string',
  status: 'string',
  ratePerSec: 'number',
  appCpuMsPer1000: 'number?',
  sidecarCpuMsPer1000: 'number?',
  appRssMiB: 'number?',
  sidecarRssMiB: 'number?',
  networkBytesPerRequest: 'number?',
  p50Us: 'number?',
  p99Us: 'number?',
};
const ofEnvironment: Record<string, Kind> = {
  date: 'string',
  commit: 'string',
  node: 'string',
  kernel: 'string',
  cpuModel: 'string',
  cpuCount: 'number',
  loadAverage: 'number',
};

/** What keeps a value from being a result of this schema, in words; undefined when nothing does. */
export function complaintAbout(result: unknown): string | undefined {
  if (!isObject(result)) return 'is not an object';
  if (result['schema'] !== 1) return `has schema=${String(result['schema'])}; this report reads schema=1`;
  if (!isObject(result['environment'])) return 'has no environment';
  return (
    firstWrong('environment', result['environment'], ofEnvironment) ??
    inList(result, 'rows', (row, name) => firstWrong(name, row, ofRow) ?? wrongParts(row, name)) ??
    inList(result, 'verdicts', (verdict, name) => firstWrong(name, verdict, ofVerdict) ?? wrongRounds(verdict, name)) ??
    inList(result, 'overhead', (row, name) => firstWrong(name, row, ofOverhead))
  );
}

type Unknown = Record<string, unknown>;

function inList(result: Unknown, list: string, complaint: (entry: Unknown, name: string) => string | undefined): string | undefined {
  const entries = result[list];
  if (!Array.isArray(entries)) return `has no list of ${list}`;
  for (const [index, entry] of entries.entries()) {
    const name = `${list}[${index}]`;
    const found = isObject(entry) ? complaint(entry, name) : `has ${name} that is not an object`;
    if (found !== undefined) return found;
  }
  return undefined;
}

function firstWrong(name: string, entry: Unknown, kinds: Record<string, Kind | undefined>): string | undefined {
  for (const [key, kind] of Object.entries(kinds)) {
    const value = entry[key];
    const isAllowedNull = value === null && kind?.endsWith('?');
    if (!isAllowedNull && typeof value !== kind?.replace('?', '')) return `has ${name}.${key} of the wrong type: it has to be a ${kind}`;
  }
  return undefined;
}

function wrongRounds({ placement = 'free', rounds = [] }: Unknown, name: string): string | undefined {
  if (typeof placement !== 'string') return `has ${name}.placement of the wrong type: it has to be a string`;
  return Array.isArray(rounds) && rounds.every(isNumber) ? undefined : `has ${name}.rounds that is not a list of numbers`;
}

function wrongParts({ curve, p50UsRounds, opsPerSecRounds = [], extras }: Unknown, name: string): string | undefined {
  const isCurve = Array.isArray(curve) && curve.every((point) => Array.isArray(point) && point.length === 2 && point.every(isNumber));
  if (!isCurve) return `has ${name}.curve that is not a list of pairs of numbers`;
  if (!Array.isArray(p50UsRounds) || !p50UsRounds.every(isNumber)) return `has ${name}.p50UsRounds that is not a list of numbers`;
  if (!Array.isArray(opsPerSecRounds) || !opsPerSecRounds.every(isNumber))
    return `has ${name}.opsPerSecRounds that is not a list of numbers`;
  return isObject(extras) && Object.values(extras).every(isNumber) ? undefined : `has ${name}.extras that are not all numbers`;
}

function isObject(value: unknown): value is Unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}
