import type { Row, Verdict } from '../result.js';

/** What the core has to reach, read from the rows of one run. Ratios are independent of the machine, most of the rest is not. */
interface Bar {
  what: string;
  scenario: string;
  gapUs: number;
  /** The transport to compare with, of the same scenario unless another is named; absent: the value stands for itself. */
  baseline?: string;
  baselineScenario?: string;
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

const flowing = { gapUs: 0, unit: 'x' };
const gapped = { gapUs: 1_000, unit: 'x' };

/** A full run idles for ten seconds; a shorter one has to use proportionally less. */
const cpuMsIn10s: Bar['value'] = ({ extras }) => divide(number(extras['cpuMs']), number(extras['idleMs']), 10_000);
const heapKiB: Bar['value'] = ({ extras }) => {
  const [app, sidecar] = [number(extras['appHeapKiB']), number(extras['sidecarHeapKiB'])];
  return app === null || sidecar === null ? null : app + sidecar;
};

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
    baselineScenario: 'limits',
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
];

/**
 * The bars whose scenario is part of the run. Where both sides were also measured while held on a CPU each, that is what counts: the ratios
 * of freely placed processes depend on what the scheduler happens to do.
 */
export function judge(rows: readonly Row[]): Verdict[] {
  return bars
    .filter(({ scenario, gapUs }) => rows.some((row) => row.scenario === scenario && row.gapUs === gapUs))
    .map((bar) => verdictOn(bar, sidesOf(bar, rows)));
}

interface Sides {
  pillion: Row;
  baseline: Row;
}

function sidesOf({ scenario, gapUs, baseline, baselineScenario = scenario }: Bar, rows: readonly Row[]): Sides | undefined {
  const measured = rows.filter((row) => row.status === 'ok' && row.gapUs === gapUs);
  for (const placement of ['held', 'free'] as const) {
    const ours = measured.find((row) => row.scenario === scenario && row.transport === 'shm' && row.placement === placement);
    // A limit places its processes itself.
    const theirs = measured.find(
      (row) =>
        row.scenario === baselineScenario && row.transport === baseline && (row.placement === placement || row.scenario === 'limits'),
    );
    if (ours && baseline === undefined) return { pillion: ours, baseline: ours };
    if (ours && theirs) return { pillion: ours, baseline: theirs };
  }
  return undefined;
}

function verdictOn(bar: Bar, sides: Sides | undefined): Verdict {
  const { what, unit, atMost, atLeast, aim } = bar;
  const value = sides ? bar.value(sides.pillion, sides.baseline) : null;
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
  const rounds = sides ? valuesOfRounds(bar, sides) : [];
  return { what, value, unit, placement, rounds, bar: show(limit), aim: show(aim), verdict: decide() };
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
