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
/** With both sides on one CPU a socket is several times as fast, and spinning is of no use: that is no state to judge in. */
const sharedCpuUs = 25;

/** The ratios that the core has to reach against HTTP and the Unix socket, of this build alone. Missed is what misses in every round. */
export async function measureFloors(directory: string, progress: (text: string, share: number) => void): Promise<Floors> {
  const wanted = bars.filter(({ baseline, atLeast, gapUs }) => gapUs === 0 && atLeast !== undefined && baselines.includes(baseline ?? ''));
  const names = new Set(wanted.map(({ scenario }) => scenario));
  const table = scenarios
    .filter(({ name, gapUs }) => gapUs === 0 && names.has(name))
    .map((scenario) => ({ ...scenario, transports: ['shm', ...baselines].filter((name) => scenario.transports.includes(name)) }));
  const rows = await runSuite({
    scenarios: table,
    effort: { ...quick, rounds: 5 },
    directory,
    progress: ({ text, share }) => progress(`floors: ${text}`, share),
  });
  const broken = rows.find(({ status }) => status !== 'ok');
  if (broken) throw new Error(`${broken.scenario}, ${broken.transport}: ${broken.status}`);
  const reason = unfit(rows);
  const find = (scenario: string, transport: string) => rows.find((row) => row.scenario === scenario && row.transport === transport) as Row;
  const floors = wanted.map((bar): Floor => {
    const ours = find(bar.scenario, 'shm');
    const theirs = find(bar.scenario, bar.baseline as string);
    const floor = bar.atLeast as number;
    const best = bar.value({ ...ours, p50Us: Math.min(...ours.p50UsRounds) }, { ...theirs, p50Us: Math.max(...theirs.p50UsRounds) });
    const verdict = reason !== undefined ? 'not judged' : best !== null && best < floor ? 'missed' : 'reached';
    return { what: bar.what, best, median: bar.value(ours, theirs), floor, verdict };
  });
  return { floors, reason };
}

function unfit(rows: readonly Row[]): string | undefined {
  const cpus = usableCpus().length;
  const load = loadavg()[0] ?? 0;
  const socket = rows.find(({ scenario, transport }) => scenario === 'call' && transport === 'uds');
  if (cpus < 2) return 'fewer than two usable CPUs';
  if (load > cpus + 1) return `load average ${load.toFixed(1)} on ${cpus} CPUs`;
  if (socket?.p50Us && socket.p50Us < sharedCpuUs) return 'the scheduler keeps both processes on one CPU';
  return undefined;
}
