import { loadavg } from 'node:os';
import type { Row } from '../result.js';
import { usableCpus } from '../rig/cpus.js';
import { bars } from '../suite/bars.js';
import { quick, scenarios } from '../suite/scenarios.js';
import { runSuite } from '../suite/suite.js';

export interface Floor {
  what: string;
  /** The ratio, had all rounds been as kind to pillion as the kindest. */
  best: number | null;
  median: number | null;
  floor: number;
  verdict: 'reached' | 'missed' | 'not judged';
}

export interface Floors {
  floors: Floor[];
  /** Why nothing was judged. */
  reason: string | undefined;
}

const baselines = ['http', 'uds'];

/**
 * The ratios that the core has to reach against HTTP and the Unix socket, of this build alone, with both sides held on a CPU each: on one CPU
 * a socket is several times as fast, and spinning is of no use. Missed is what misses in every round.
 */
export async function measureFloors(directory: string, progress: (text: string, share: number) => void): Promise<Floors> {
  const wanted = bars.filter(({ baseline, atLeast, gapUs }) => gapUs === 0 && atLeast !== undefined && baselines.includes(baseline ?? ''));
  const names = new Set(wanted.map(({ scenario }) => scenario));
  const table = scenarios
    .filter(({ name, gapUs, placement }) => gapUs === 0 && names.has(name) && placement === 'held')
    .map((scenario) => ({ ...scenario, transports: ['shm', ...baselines].filter((name) => scenario.transports.includes(name)) }));
  if (usableCpus().length < 2) {
    return { floors: wanted.map(({ what, atLeast = 0 }) => unjudged(what, atLeast)), reason: 'fewer than two usable CPUs' };
  }
  const rows = await runSuite({
    scenarios: table,
    effort: { ...quick, rounds: 5 },
    directory,
    progress: ({ text, share }) => progress(`floors: ${text}`, share),
  });
  const broken = rows.find(({ status }) => status !== 'ok');
  if (broken) throw new Error(`${broken.scenario}, ${broken.transport}: ${broken.status}`);
  const reason = unfit(loadavg()[0] ?? 0);
  const find = (scenario: string, transport: string) => rows.find((row) => row.scenario === scenario && row.transport === transport) as Row;
  const floors = wanted.map((bar): Floor => {
    const ours = find(bar.scenario, 'shm');
    const theirs = find(bar.scenario, bar.baseline as string);
    const floor = bar.atLeast as number;
    const best = bar.value(kindest(ours, Math.min, Math.max), kindest(theirs, Math.max, Math.min));
    const verdict = reason !== undefined ? 'not judged' : best !== null && best < floor ? 'missed' : 'reached';
    return { what: bar.what, best, median: bar.value(ours, theirs), floor, verdict };
  });
  return { floors, reason };
}

type Choice = (...values: number[]) => number;

function kindest(row: Row, time: Choice, rate: Choice): Row {
  return { ...row, p50Us: time(...row.p50UsRounds), opsPerSec: rate(...row.opsPerSecRounds) };
}

function unjudged(what: string, floor: number): Floor {
  return { what, best: null, median: null, floor, verdict: 'not judged' };
}

/** Afterwards: before, it is mostly the load of the gate's own pairs. */
function unfit(load: number): string | undefined {
  const cpus = usableCpus().length;
  return load > cpus + 1 ? `load average ${load.toFixed(1)} on ${cpus} CPUs` : undefined;
}
