import { loadavg } from 'node:os';
import { judge } from '../suite/bars.js';
import { Calm } from '../suite/calm.js';
import type { Suite } from '../suite/suite.js';
import { runSuite } from '../suite/suite.js';
import type { Run } from './spread.js';

/**
 * Measures the same table again and again, each time in new processes: what a compiler, the layout of memory and the placement of one start
 * happened to be is then part of the spread, as it is for somebody who runs the suite twice. `done` gets all runs so far after each
 * of them, so that an interrupted series is worth what it has found.
 */
export async function repeatSuite(suite: Suite, repetitions: number, done: (runs: readonly Run[]) => void): Promise<Run[]> {
  const runs: Run[] = [];
  const calm = new Calm(suite.directory);
  const { effort } = suite;
  const begun = performance.now();
  for (let index = 0; index < repetitions; index++) {
    const date = new Date().toISOString();
    const loadAverage = loadavg()[0] ?? 0;
    const progress: Suite['progress'] = ({ text, share }) =>
      suite.progress({ text: `run ${index + 1} of ${repetitions}: ${text}`, share: (index + share) / repetitions });
    // Time that one run did not need is for the next one, and so is its patience.
    const budgetMs = (index + 1) * effort.budgetMs - (performance.now() - begun);
    const rows = await runSuite({ ...suite, effort: { ...effort, budgetMs }, calm, progress });
    runs.push({ date, loadAverage, machine: calm.machine, rows, verdicts: judge(rows) });
    done(runs);
  }
  return runs;
}
