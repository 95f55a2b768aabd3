import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../environment.js';
import { ProgressBar } from '../progress-bar.js';
import { buildBase, builtLibrary, defaultBase } from './base.js';
import { BuildFailure } from './build.js';
import { check } from './check.js';
import { measureFloors } from './floors.js';
import { metricNames, metrics } from './metrics.js';
import type { Finding } from './output.js';
import { formatFinding, githubBenchmark, summariseOnGitHub } from './output.js';

const leastPairs = 10;

const help = `Usage: npm run bench:check -- [options]

Compares this build of pillion with another one, in interleaved pairs of fresh processes, and fails when it is slower beyond doubt.

  --base REF               commit to compare with (main, or the commit before it)
  --base-dir FOLDER        a folder in which pillion was already built, instead
  --only NAMES             metrics, separated by commas: ${metricNames.join(', ')} (all but call-large)
  --pairs NUMBER           at least ${leastPairs} (${leastPairs})
  --ratio NUMBER           how much slower is too slow (1.07)
  --alpha NUMBER           level of significance for all metrics together (0.01)
  --no-floors              leave out the ratios to HTTP and the Unix socket
  --json FILE              all pairs and decisions
  --github-benchmark FILE  for github-action-benchmark, tool customSmallerIsBetter
  --help                   show this text

Exit codes: 0 no regression, or noise that allows no statement; 1 a regression, or this build crashed; 2 anything else.
`;

const options = {
  base: { type: 'string' },
  'base-dir': { type: 'string' },
  only: { type: 'string' },
  pairs: { type: 'string', default: String(leastPairs) },
  ratio: { type: 'string', default: '1.07' },
  alpha: { type: 'string', default: '0.01' },
  'no-floors': { type: 'boolean', default: false },
  json: { type: 'string' },
  'github-benchmark': { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const { values } = parseArgs({ options });
    if (values.help) {
      process.stdout.write(help);
      return 0;
    }
    return await gate(values);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return error instanceof BuildFailure && error.build.name === 'this' ? 1 : 2;
  }
}

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];

async function gate(values: Values): Promise<number> {
  const chosen = choose(values.only);
  const pairs = atLeast('pairs', values.pairs, leastPairs);
  const criteria = { ratio: atLeast('ratio', values.ratio, 1), alpha: atLeast('alpha', values.alpha, 0) };
  const directory = mkdtempSync(join(tmpdir(), 'pillion-gate-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
  const bar = new ProgressBar();
  const progress = (text: string, share: number) => bar.show({ text, share });
  try {
    const base = values['base-dir'] ?? values.base ?? defaultBase();
    const library = values['base-dir']
      ? builtLibrary(values['base-dir'])
      : await buildBase(base, join(directory, 'base'), (text) => progress(text, 0));
    const builds = { base: { name: 'base', library }, current: { name: 'this', library: builtLibrary(packageRoot) } } as const;
    const result = await check({ ...builds, metrics: chosen, pairs, directory, progress }, criteria);
    const floors = values['no-floors'] ? undefined : await measureFloors(directory, progress);
    bar.stop();
    return publish({ base, ...criteria, result, floors }, values);
  } finally {
    bar.stop();
  }
}

function publish(finding: Finding, values: Values): number {
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(finding, null, 1)}\n`);
  const benchmark = values['github-benchmark'];
  if (benchmark !== undefined) writeFileSync(benchmark, `${JSON.stringify(githubBenchmark(finding), null, 1)}\n`);
  summariseOnGitHub(finding);
  process.stdout.write(`${formatFinding(finding)}\n`);
  const hasMissed = finding.floors?.floors.some(({ verdict }) => verdict === 'missed') ?? false;
  return finding.result.regressions.length > 0 || hasMissed ? 1 : 0;
}

function choose(names: string | undefined) {
  if (names === undefined) return metrics.filter(({ name }) => name !== 'call-large');
  const wanted = names.split(',').map((name) => name.trim());
  const unknown = wanted.find((name) => !metricNames.includes(name));
  if (unknown !== undefined) throw new Error(`unknown metric=${unknown}; known: ${metricNames.join(', ')}`);
  return metrics.filter(({ name }) => wanted.includes(name));
}

function atLeast(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!(value >= least)) throw new Error(`--${name}=${text} has to be a number of at least ${least}`);
  return value;
}
