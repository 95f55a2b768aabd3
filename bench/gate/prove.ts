import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../environment.js';
import { ProgressBar } from '../progress-bar.js';
import { builtLibrary } from './base.js';
import type { Build } from './build.js';
import type { CheckResult } from './check.js';
import { check } from './check.js';
import { metrics } from './metrics.js';
import { calibrate } from './planted.js';

const help = `Usage: npm run bench:prove -- [--equal 20] [--slower 10] [--only call,send] [--json FILE]

Shows on this machine that the gate is right: checks of equal builds must all pass, and checks of a build that was made
15 % slower must all fail. Needs a quiet machine and about half a minute for each check.
`;

const slowDown = 0.15;
const criteria = { ratio: 1.07, alpha: 0.01 };
const pairs = 10;

const { values } = parseArgs({
  options: {
    equal: { type: 'string', default: '20' },
    slower: { type: 'string', default: '10' },
    only: { type: 'string', default: 'call,send' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) process.stdout.write(help);
else await prove();

interface Trial {
  case: string;
  ratios: Record<string, number>;
  verdicts: Record<string, string>;
  regressions: string[];
  isRight: boolean;
}

async function prove(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'pillion-prove-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
  const bar = new ProgressBar();
  const chosen = metrics.filter(({ name }) => values.only.split(',').includes(name));
  const base: Build = { name: 'base', library: builtLibrary(packageRoot) };
  const shared = { base, pairs, directory, progress: (text: string, share: number) => bar.show({ text, share }) };
  const trials: Trial[] = [];
  for (let i = 0; i < Number(values.equal); i++) {
    const result = await check({ ...shared, metrics: chosen, current: { ...base, name: 'this' } }, criteria);
    trials.push(trial('equal', result, result.regressions.length === 0));
  }
  // A planted slow-down is looked for in the metric that it was planted into.
  const planted = [];
  if (Number(values.slower) > 0) for (const metric of chosen) planted.push({ metric, ...(await calibrate(shared, metric, slowDown)) });
  for (let i = 0; i < Number(values.slower); i++) {
    const { metric, build, ratio } = planted[i % planted.length] as (typeof planted)[number];
    const result = await check({ ...shared, metrics: [metric], current: build }, criteria);
    trials.push(trial(`${metric.name} slower by ${Math.round((ratio - 1) * 1_000) / 10} %`, result, result.regressions.length === 1));
  }
  bar.stop();
  report(trials);
}

function trial(name: string, { decisions, regressions }: CheckResult, isRight: boolean): Trial {
  const found = {
    case: name,
    ratios: Object.fromEntries(decisions.map(({ metric, medianRatio }) => [metric, Number(medianRatio.toPrecision(4))])),
    verdicts: Object.fromEntries(decisions.map(({ metric, verdict }) => [metric, verdict])),
    regressions,
    isRight,
  };
  const outcome = regressions.length === 0 ? 'passed' : `failed: ${regressions.join(', ')}`;
  process.stdout.write(`${name}: ${JSON.stringify(found.ratios)} ${outcome}\n`);
  return found;
}

function report(trials: readonly Trial[]): void {
  const ofKind = (isEqual: boolean) => trials.filter(({ case: name }) => (name === 'equal') === isEqual);
  const wrong = (some: readonly Trial[]) => some.filter(({ isRight }) => !isRight).length;
  process.stdout.write(`equal builds: ${ofKind(true).length} checks, ${wrong(ofKind(true))} failed wrongly\n`);
  process.stdout.write(`slower builds: ${ofKind(false).length} checks, ${wrong(ofKind(false))} missed\n`);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ criteria, pairs, slowDown, trials }, null, 1)}\n`);
  process.exitCode = wrong(trials) === 0 ? 0 : 1;
}
