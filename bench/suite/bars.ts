import type { Row, Verdict } from '../result.js';
import { median } from '../rig/histogram.js';
import type { Conditions } from '../rig/lane.js';

/** What the core has to reach, read from the rows of one run. Ratios are independent of the machine, most of the rest is not. */
interface Bar {
  what: string;
  scenario: string;
  gapUs: number;
  /** Which row of the scenario, where there are several. */
  where?: Partial<Conditions>;
  /** The transport to compare with, of the same scenario; absent: the value stands for itself. */
  baseline?: string;
  /** The same for the baseline, where it is not the same. */
  baselineWhere?: Partial<Conditions>;
  /** From the row of pillion over shared memory, and that of the baseline where there is one. */
  value(pillion: Row, baseline: Row): number | null;
  unit: string;
  /** One of the two, unless the line is only there to be read beside another. */
  atMost?: number;
  atLeast?: number;
  aim?: number;
}

const p50: Bar['value'] = (pillion) => pillion.p50Us;
const share: Bar['value'] = (pillion, baseline) => divide(pillion.p50Us, baseline.p50Us);
const timesFaster: Bar['value'] = (pillion, baseline) => divide(baseline.p50Us, pillion.p50Us);
const timesRate: Bar['value'] = (pillion, baseline) => divide(pillion.opsPerSec, baseline.opsPerSec);

const rate: Bar['value'] = ({ opsPerSec }) => opsPerSec;
const gigabytesPerSec: Bar['value'] = ({ opsPerSec, payloadBytes }) => divide(opsPerSec, 1e9, payloadBytes);

const flowing = { gapUs: 0, unit: 'x' };
const gapped = { gapUs: 1_000, unit: 'x' };

/** A full run idles for ten seconds; a shorter one has to use proportionally less. */
const cpuMsIn10s: Bar['value'] = ({ extras }) => divide(number(extras['cpuMs']), number(extras['idleMs']), 10_000);
const heapKiB: Bar['value'] = ({ extras }) => {
  const [app, sidecar] = [number(extras['appHeapKiB']), number(extras['sidecarHeapKiB'])];
  return app === null || sidecar === null ? null : app + sidecar;
};

/** What a crowd adds: the sidecar's CPU time in ten seconds in which nobody does anything. */
const crowdCpuMsIn10s: Bar['value'] = ({ extras }, { extras: alone }) => {
  const [beside, without] = [extras, alone].map((each) => divide(number(each['idleSidecarCpuMs']), number(each['idleMs']), 10_000));
  return typeof beside === 'number' && typeof without === 'number' ? beside - without : null;
};

const small = { where: { payloadBytes: 64 } };
const large = { where: { payloadBytes: 1_024 } };
const crowded = { scenario: 'crowd', baseline: 'shm', where: { idleClients: 1_000 }, baselineWhere: { idleClients: 0 } };

export const bars: readonly Bar[] = [
  { ...flowing, what: 'send, back to back', scenario: 'send', value: p50, unit: 'us', atMost: 1, aim: 0.3 },
  { ...flowing, what: 'send / file-write', scenario: 'send', baseline: 'file-write', value: share, atMost: 0.5 },
  {
    ...gapped,
    what: 'send / file-write, every 1 ms',
    scenario: 'send',
    baseline: 'file-write',
    value: share,
    atMost: 0.7,
    aim: 0.4,
  },
  {
    ...gapped,
    what: 'function call, every 1 ms (for comparison)',
    scenario: 'send',
    baseline: 'function',
    value: (_pillion, baseline) => baseline.p50Us,
    unit: 'us',
  },
  {
    ...gapped,
    what: 'doorbells per 1,000 sends, every 1 ms',
    scenario: 'send',
    value: (pillion) => number(pillion.extras['doorbellsPer1000']),
    unit: '',
    atMost: 1,
  },
  { ...flowing, what: 'call, traffic flowing', scenario: 'call', value: p50, unit: 'us', aim: 0.35 },
  { ...flowing, what: 'http / call', scenario: 'call', baseline: 'http', value: timesFaster, atLeast: 60 },
  { ...flowing, what: 'fetch / call', scenario: 'call', baseline: 'fetch', value: timesFaster, atLeast: 150 },
  { ...flowing, what: 'uds / call', scenario: 'call', baseline: 'uds', value: timesFaster, atLeast: 10 },
  { ...flowing, what: 'call with objects', scenario: 'call-object', value: p50, unit: 'us', aim: 2 },
  {
    ...flowing,
    what: 'http with JSON / call with objects',
    scenario: 'call-object',
    baseline: 'http',
    value: timesFaster,
    atLeast: 35,
  },
  {
    ...flowing,
    what: 'callSync / limit',
    scenario: 'call-sync',
    baseline: 'limit-ring',
    value: share,
    atMost: 8,
    aim: 3,
  },
  { ...gapped, what: 'call / uds, both parked', scenario: 'gap-sweep', baseline: 'uds', value: share, atMost: 1, aim: 0.8 },
  {
    ...flowing,
    what: 'events received',
    scenario: 'one-way',
    value: (pillion) => pillion.opsPerSec,
    unit: '/s',
    atLeast: 4_000_000,
    aim: 15_000_000,
  },
  {
    ...flowing,
    what: 'bandwidth of 1 MiB calls / uds',
    scenario: 'call-large',
    baseline: 'uds',
    value: timesRate,
    atLeast: 3,
    aim: 6,
  },
  { ...flowing, what: 'CPU of both sides in 10 s idle', scenario: 'idle', value: cpuMsIn10s, unit: 'ms', atMost: 5, aim: 0 },
  {
    ...flowing,
    what: 'shared memory per connection',
    scenario: 'idle',
    value: (pillion) => number(pillion.extras['sharedKiB']),
    unit: 'KiB',
    atMost: 600,
  },
  { ...flowing, what: 'heap per connection, both sides', scenario: 'idle', value: heapKiB, unit: 'KiB', atMost: 100 },

  { ...flowing, ...small, what: 'stream of 64-byte items', scenario: 'stream', value: rate, unit: '/s', atLeast: 2_000_000 },
  { ...flowing, ...small, what: 'stream of 64-byte items / uds', scenario: 'stream', baseline: 'uds', value: timesRate },
  { ...flowing, ...small, what: 'stream of 64-byte items / http', scenario: 'stream', baseline: 'http', value: timesRate },
  { ...flowing, ...large, what: 'stream of 1 KiB items', scenario: 'stream', value: gigabytesPerSec, unit: 'GB/s', atLeast: 1 },
  { ...flowing, ...large, what: 'stream of 1 KiB items / uds', scenario: 'stream', baseline: 'uds', value: timesRate },
  { ...flowing, ...large, what: 'upload of 1 KiB items / uds', scenario: 'upload', baseline: 'uds', value: timesRate },
  { ...flowing, what: 'reading a state', scenario: 'read', value: p50, unit: 'us', atMost: 0.05 },
  { ...flowing, what: 'adding to a counter', scenario: 'count', value: p50, unit: 'us', atMost: 0.02 },
  { ...flowing, what: 'broadcast to 100 clients, for each', scenario: 'fan-out', value: p50, unit: 'us', atMost: 1.5 },
  {
    ...flowing,
    what: 'bandwidth of 16 MiB calls / uds',
    scenario: 'payload-sweep',
    where: { payloadBytes: 16 * 2 ** 20 },
    baseline: 'uds',
    value: timesRate,
    atLeast: 3,
  },
  { ...flowing, what: 'zero-copy / copying, 1 MiB', scenario: 'zero-copy', baseline: 'shm-copy', value: timesRate, atLeast: 2 },
  {
    ...flowing,
    what: 'p99 of a call beside an upload / alone',
    scenario: 'beside-upload',
    value: ({ p99Us, extras }) => divide(p99Us, number(extras['quietP99Us'])),
    atMost: 5,
  },
  { ...flowing, ...crowded, what: 'call beside 1,000 idle connections / alone', value: share, atMost: 1.5 },
  {
    ...flowing,
    ...crowded,
    what: 'CPU of the sidecar in 10 s for 1,000 idle connections',
    value: crowdCpuMsIn10s,
    unit: 'ms',
    atMost: 5,
  },
];

/**
 * The bars whose scenario is part of the run. Where both sides were also measured while held on a CPU each, that is what counts: the ratios
 * of freely placed processes depend on what the scheduler happens to do.
 */
export function judge(rows: readonly Row[]): Verdict[] {
  return bars
    .filter(({ scenario, gapUs, where }) => rows.some((row) => row.scenario === scenario && row.gapUs === gapUs && isThere(row, where)))
    .map((bar) => verdictOn(bar, sidesOf(bar, rows)));
}

interface Sides {
  pillion: Row;
  baseline: Row;
}

function isThere(row: Row, where: Partial<Conditions> = {}): boolean {
  return Object.entries(where).every(([name, value]) => row[name as keyof Conditions] === value);
}

function sidesOf(bar: Bar, rows: readonly Row[]): Sides | undefined {
  const { scenario, gapUs, where, baseline, baselineWhere = where } = bar;
  const measured = rows.filter((row) => row.status === 'ok' && row.gapUs === gapUs);
  for (const placement of ['held', 'free'] as const) {
    const ours = measured.find(
      (row) => row.scenario === scenario && row.transport === 'shm' && row.placement === placement && isThere(row, where),
    );
    const theirs = measured.find(
      (row) => row.scenario === scenario && row.transport === baseline && row.placement === placement && isThere(row, baselineWhere),
    );
    if (ours && baseline === undefined) return { pillion: ours, baseline: ours };
    if (ours && theirs) return { pillion: ours, baseline: theirs };
  }
  return undefined;
}

function verdictOn(bar: Bar, sides: Sides | undefined): Verdict {
  const { what, unit, atMost, atLeast, aim } = bar;
  const rounds = sides ? valuesOfRounds(bar, sides) : [];
  const value = sides ? resultOf(bar, sides, rounds) : null;
  const limit = atMost ?? atLeast;
  // A line with an aim alone is about time: less is better.
  const sign = atLeast === undefined ? '<=' : '>=';
  const meets = (mark: number) => value !== null && (sign === '<=' ? value <= mark : value >= mark);
  const show = (mark: number | undefined) => (mark === undefined ? '' : `${sign} ${mark.toLocaleString('en')}`);
  const decide = (): Verdict['verdict'] => {
    if (value === null) return 'not measured';
    if (aim !== undefined && meets(aim)) return 'reached, and the aim';
    if (limit === undefined) return '-';
    return meets(limit) ? 'reached' : 'missed';
  };
  const placement = sides?.pillion.placement ?? 'free';
  return { what, value, unit, placement, rounds, bar: show(limit), aim: show(aim), verdict: decide() };
}

function resultOf(bar: Bar, sides: Sides, rounds: readonly number[]): number | null {
  return takeTurns(sides) && rounds.length > 0 ? median(rounds) : bar.value(sides.pillion, sides.baseline);
}

/**
 * Rows of one scenario with equal conditions are measured in turns: their ratio is the median of the rounds' ratios. What the machine does to both in one round drops out of it, which
 * it does not where each side has a median of its own, which may be from another round.
 */
function takeTurns({ pillion, baseline }: Sides): boolean {
  return pillion !== baseline && pillion.gapUs === baseline.gapUs && pillion.idleClients === baseline.idleClients;
}

/** Both sides of a ratio from the same round, when the machine was the same for both. */
function valuesOfRounds(bar: Bar, { pillion, baseline }: Sides): number[] {
  const count = Math.min(pillion.rounds, baseline.rounds);
  return Array.from({ length: count }, (_, index) => bar.value(roundOf(pillion, index), roundOf(baseline, index)))
    .filter((value) => value !== null)
    .map((value) => Number(value.toPrecision(4)));
}

/** What only the whole row knows is unknown of a round. */
function roundOf(row: Row, index: number): Row {
  return { ...row, p50Us: row.p50UsRounds[index] ?? null, opsPerSec: row.opsPerSecRounds[index] ?? null, extras: {} };
}

function divide(dividend: number | null, divisor: number | null, factor = 1): number | null {
  return dividend === null || divisor === null || divisor === 0 ? null : (dividend / divisor) * factor;
}

function number(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
