import { LaneRun } from './lane-run.js';
import type { Row } from './row.js';
import type { Effort, Pace, Scenario } from './scenarios.js';

export interface Suite {
  scenarios: readonly Scenario[];
  effort: Effort;
  directory: string;
  progress(line: string): void;
}

/** Runs the table from top to bottom; within a scenario the transports take turns, so a noisy minute meets all of them. */
export async function runSuite(suite: Suite): Promise<Row[]> {
  const deadline = performance.now() + suite.effort.budgetMs;
  const rows: Row[] = [];
  for (const scenario of suite.scenarios) rows.push(...(await runScenario(suite, scenario, deadline)));
  return rows;
}

async function runScenario(suite: Suite, scenario: Scenario, deadline: number): Promise<Row[]> {
  const lanes = scenario.transports.map((transport) => new LaneRun(scenario, transport, suite.directory, deadline));
  const title = scenario.gapUs > 0 ? `${scenario.name}, ${scenario.gapUs} us gap` : scenario.name;
  const announce = (what: string) => suite.progress(`${title}: ${what}`);
  try {
    announce(`starting ${lanes.length} transports`);
    await Promise.all(lanes.map((lane) => lane.open()));
    if (scenario.pace === 'idle') await idleTogether(lanes, suite.effort, announce);
    else await takeTurns(lanes, suite.effort, scenario.pace, announce);
  } finally {
    await Promise.all(lanes.map((lane) => lane.end()));
  }
  return lanes.map((lane) => lane.row);
}

async function takeTurns(lanes: LaneRun[], effort: Effort, pace: Pace, announce: (what: string) => void): Promise<void> {
  const plan = effort.plans[pace];
  for (let round = 0; round < effort.rounds; round++) {
    for (const lane of rotated(lanes, round)) {
      announce(`round ${round + 1} of ${effort.rounds}, ${lane.transport}`);
      await lane.measure(round === 0 ? plan : { ...plan, runInMs: 0 });
    }
  }
}

/** Each process counts its own CPU time, and processes that do nothing can't disturb each other. */
async function idleTogether(lanes: LaneRun[], effort: Effort, announce: (what: string) => void): Promise<void> {
  const plan = effort.plans.idle;
  announce(`doing nothing for ${plan.durationMs / 1_000} s`);
  await Promise.all(lanes.map((lane) => lane.measure(plan)));
}

/** Another one starts in every round: who comes first meets a machine that has just rested. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const first = by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}
