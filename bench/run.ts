import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { judge } from './bars.js';
import { describeEnvironment } from './environment.js';
import { formatReport } from './report.js';
import type { Effort, Scenario } from './scenarios.js';
import { full, quick, scenarioNames, scenarios } from './scenarios.js';
import { runSuite } from './suite.js';
import { transportNames } from './transports/index.js';

const help = `Usage: npm run bench -- [options]

Measures pillion and what it competes with, each between two processes of this machine.

  --quick                a rough run of less than 45 s instead of up to 5 min
  --only NAMES           scenarios, separated by commas: ${scenarioNames.join(', ')}
  --transports NAMES     transports, separated by commas: ${transportNames.join(', ')}
  --json FILE            write environment and rows to this file
  --help                 show this text

Exits with 1 when a row failed; a missed bar is no failure.
`;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    transports: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  } as const;
  try {
    const { values } = parseArgs({ options });
    if (values.help) {
      process.stdout.write(help);
      return 0;
    }
    const effort = values.quick ? quick : full;
    const selection = select(choose(values.only, scenarioNames), choose(values.transports, transportNames), effort);
    return await run(selection, effort, values.json);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 2;
  }
}

async function run(selection: Scenario[], effort: Effort, jsonFile: string | undefined): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'pillion-bench-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
  const environment = describeEnvironment();
  const rows = await runSuite({ scenarios: selection, effort, directory, progress });
  progress('');
  if (jsonFile !== undefined) {
    const result = { environment: { ...environment, effort: effort.name }, rows };
    writeFileSync(jsonFile, `${JSON.stringify(result, null, 2)}\n`);
  }
  process.stdout.write(`${formatReport(environment, rows, judge(rows))}\n`);
  return rows.some(({ status }) => status.startsWith('failed')) ? 1 : 0;
}

function choose(wanted: string | undefined, known: readonly string[]): readonly string[] {
  if (wanted === undefined) return known;
  const names = wanted.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`unknown name=${unknown}; known: ${known.join(', ')}`);
  return names;
}

function select(names: readonly string[], transports: readonly string[], effort: Effort): Scenario[] {
  return scenarios
    .filter(({ name }) => names.includes(name))
    .map((scenario) => {
      const isWanted = (name: string) => transports.includes(name) && !effort.without[scenario.pace].includes(name);
      return { ...scenario, transports: scenario.transports.filter(isWanted) };
    })
    .filter((scenario) => scenario.transports.length > 0);
}

/** One line that rewrites itself on a terminal, one line per step elsewhere. */
function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
  else if (line !== '') process.stderr.write(`${line}\n`);
}
