import type { Row } from '../result.js';
import type { RoundPlan } from '../rig/lane.js';
import { Calm } from './calm.js';
import { startCpuLoad } from './cpu-load.js';
import { LaneRun, totalMs } from './lane-run.js';
import { relateToLimits } from './limits.js';
import type { Effort, Scenario } from './scenarios.js';
import { paceOf, planFor, turnsFor } from './scenarios.js';

export interface Progress {
  text: string;
  /** Of the whole run, 0 to 1, by planned time. */
  share: number;
}

export interface Suite {
  scenarios: readonly Scenario[];
  effort: Effort;
  directory: string;
  /** What several runs, which are to be compared, know together of the machine. */
  calm?: Calm;
  progress(progress: Progress): void;
}

/** Processes that run at the same time would disturb each other; but waiting ones don't, up to what the memory holds. */
const mostLanesAtOnce = 12;
const startUpMs = 400;
const idleClientMs = 2;

/**
 * Runs the table from top to bottom, as often as the effort says, each time in new processes; within a scenario the transports take turns, so a noisy minute meets all
 * of them.
 */
export async function runSuite(suite: Suite): Promise<Row[]> {
  const { scenarios, effort, directory } = suite;
  const deadline = performance.now() + effort.budgetMs;
  const { calm = new Calm(directory) } = suite;
  if (scenarios.some(needsCalm)) await calm.begin();
  const course = { suite, clock: new PlannedTime(suite), calm };
  const heats = scenarios.flatMap(inHeats).map((scenario) => ({
    scenario,
    lanes: scenario.transports.map((transport) => new LaneRun(scenario, transport, directory, deadline)),
  }));
  for (let pass = 0; pass < effort.passes; pass++) {
    // To each pass its share, or a bad minute in the first would leave nothing for the others; what is left goes to the next.
    calm.grant(effort.patienceMs / effort.passes);
    for (const heat of heats) {
      const { starts } = turnsFor(effort, heat.scenario);
      for (let start = 0; start < starts; start++) await runHeat(heat, pass * starts + start, course);
    }
  }
  return relateToLimits(heats.flatMap(({ lanes }) => lanes.map((lane) => lane.row)));
}

/** How long the table takes by plan. */
export function plannedMs({ scenarios, effort }: Pick<Suite, 'scenarios' | 'effort'>): number {
  return effort.passes * scenarios.reduce((sum, scenario) => sum + turnsFor(effort, scenario).starts * scenarioMs(scenario, effort), 0);
}

/** What the scenarios of a run share. */
interface Course {
  suite: Suite;
  clock: PlannedTime;
  calm: Calm;
}

/** Transports that are started together and take turns. */
interface Heat {
  scenario: Scenario;
  lanes: LaneRun[];
}

function inHeats(scenario: Scenario): Scenario[] {
  const { transports } = scenario;
  const count = Math.ceil(transports.length / mostLanesAtOnce);
  return Array.from({ length: count }, (_, index) => ({
    ...scenario,
    transports: transports.slice(index * mostLanesAtOnce, (index + 1) * mostLanesAtOnce),
  }));
}

/** `start` counts the processes of the run. */
async function runHeat({ scenario, lanes }: Heat, start: number, { suite, clock, calm }: Course): Promise<void> {
  const { effort } = suite;
  const starts = effort.passes * turnsFor(effort, scenario).starts;
  const title = titleOf(scenario) + (starts > 1 ? `, start ${start + 1} of ${starts}` : '');
  const announce = (what: string, ms: number) => suite.progress({ text: `${title}: ${what}`, share: clock.pass(ms) });
  const endLoad = scenario.cpuLoad ? startCpuLoad() : undefined;
  try {
    announce(`starting ${lanes.length} transports`, startUpOf(scenario) * lanes.length);
    await Promise.all(lanes.map((lane) => lane.open()));
    if (scenario.pattern === 'idle') await idleTogether(lanes, effort, announce);
    else await takeTurns({ scenario, lanes }, start, effort, announce, needsCalm(scenario) ? calm : undefined);
  } finally {
    await Promise.all(lanes.map((lane) => lane.end()));
    await endLoad?.();
  }
}

type Announce = (what: string, ms: number) => void;

async function takeTurns(
  { scenario, lanes }: Heat,
  start: number,
  effort: Effort,
  announce: Announce,
  calm: Calm | undefined,
): Promise<void> {
  const plan = planFor(effort, scenario);
  const { rounds } = turnsFor(effort, scenario);
  await calm?.untilNow();
  for (let round = 0; round < rounds; round++) {
    const turn = rotated(lanes, start * rounds + round);
    const own = round === 0 ? plan : { ...plan, runInMs: 0 };
    const before = roundsOf(turn);
    for (const lane of turn) {
      announce(`round ${round + 1} of ${rounds}, ${lane.transport}`, totalMs(own));
      await lane.measure(own);
    }
    // The time is up, or nothing works: then there is nothing to be calm for.
    if (roundsOf(turn) === before) break;
    if (calm) await repeatUntilCalm(turn, { ...plan, runInMs: 0 }, calm);
  }
  if (!countsSyscalls(scenario, effort)) return;
  for (const lane of lanes) {
    announce(`counting system calls, ${lane.transport}`, syscallRoundMs);
    await lane.countSyscalls({ ...plan, durationMs: Math.min(plan.durationMs, 500) });
  }
}

function roundsOf(lanes: readonly LaneRun[]): number {
  return lanes.reduce((sum, { rounds }) => sum + rounds, 0);
}

/** Both sides have a CPU each, by the suite's doing or by their own. */
function needsCalm({ name, placement }: Scenario): boolean {
  return placement === 'held' || name === 'limits';
}

/** A turn at whose end the machine is not calm is measured anew, with all of its transports: they are to be compared. */
async function repeatUntilCalm(turn: readonly LaneRun[], plan: RoundPlan, calm: Calm): Promise<void> {
  for (let again = 0; again < mostRepetitions; again++) {
    if ((await calm.isNow()) || !(await calm.untilNow())) return;
    const begun = performance.now();
    for (const lane of turn) await lane.repeat(plan);
    calm.spend(performance.now() - begun);
  }
}

const mostRepetitions = 5;
const syscallRoundMs = 1_200;

/** Only where a message more or less is a matter of system calls, and not once more where the processes are held. */
function countsSyscalls(scenario: Scenario, effort: Effort): boolean {
  const isWorthIt = ['call', 'send', 'call-object', 'rate'].includes(scenario.name) && scenario.placement === 'free';
  return effort.countsSyscalls && isWorthIt && paceOf(scenario) !== 'idle';
}

/** Each process counts its own CPU time, and processes that do nothing can't disturb each other. */
async function idleTogether(lanes: LaneRun[], effort: Effort, announce: Announce): Promise<void> {
  const plan = effort.plans.idle;
  announce(`doing nothing for ${plan.durationMs / 1_000} s`, plan.durationMs);
  await Promise.all(lanes.map((lane) => lane.measure(plan)));
}

function titleOf({ name, gapUs, ratePerSec, payloadBytes, clients, idleClients, placement, cpuLoad, busyShare }: Scenario): string {
  const details = [
    gapUs > 0 && `${gapUs} us gap`,
    ratePerSec > 0 && `${ratePerSec}/s`,
    clients > 1 && `${clients} clients`,
    idleClients > 0 && `beside ${idleClients} idle ones`,
    placement !== 'free' && placement,
    cpuLoad && 'busy machine',
    busyShare > 0 && 'busy app',
    (name.includes('payload') || ['limits', 'stream', 'upload'].includes(name)) && `${payloadBytes} bytes`,
  ];
  return [name, ...details.filter((detail) => detail !== false)].join(', ');
}

/** Another one starts in every round: who comes first meets a machine that has just rested. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const first = by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

/** Of each transport. */
function startUpOf({ idleClients }: Scenario): number {
  return startUpMs + idleClients * idleClientMs;
}

function scenarioMs(scenario: Scenario, effort: Effort): number {
  const lanes = scenario.transports.length;
  if (scenario.pattern === 'idle') return startUpOf(scenario) * lanes + effort.plans.idle.durationMs;
  const plan = planFor(effort, scenario);
  const roundsMs = plan.runInMs + turnsFor(effort, scenario).rounds * (plan.warmupMs + plan.durationMs);
  return lanes * (startUpOf(scenario) + roundsMs + (countsSyscalls(scenario, effort) ? syscallRoundMs : 0));
}

/** Where in its plan the run is. */
class PlannedTime {
  readonly #totalMs: number;
  #passedMs = 0;

  constructor(suite: Suite) {
    this.#totalMs = plannedMs(suite);
  }

  /** The share that is done when something of `ms` begins. */
  pass(ms: number): number {
    const share = this.#passedMs / this.#totalMs;
    this.#passedMs += ms;
    return Math.min(1, share);
  }
}
