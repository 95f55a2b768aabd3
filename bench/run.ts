import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeEnvironment } from './environment.js';
import type { Request } from './options.js';
import { help, readRequest } from './options.js';
import { ProgressBar } from './progress-bar.js';
import { formatReport } from './report/table.js';
import type { OverheadRow, Result } from './result.js';
import { defaultFolder, formatSeries, writeSeries } from './spread/output.js';
import { repeatSuite } from './spread/repeat.js';
import type { Run } from './spread/spread.js';
import { judge } from './suite/bars.js';
import type { Suite } from './suite/suite.js';
import { plannedMs, runSuite } from './suite/suite.js';

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const request = readRequest(process.argv.slice(2));
    if (!request) {
      process.stdout.write(help);
      return 0;
    }
    return await run(request);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nSee --help.\n`);
    return 2;
  }
}

async function run(request: Request): Promise<number> {
  if (request.repetitions !== undefined) return repeat(request, request.repetitions);
  const result = await measure(request);
  if (request.jsonFile !== undefined) writeFileSync(request.jsonFile, `${JSON.stringify(result, null, 1)}\n`);
  process.stdout.write(`${formatReport(result, request.isVerbose)}\n`);
  return [...result.rows, ...result.overhead].some(isBroken) ? 1 : 0;
}

/** The whole series, as far as it is known, is on disk after each run: nobody may be watching. */
async function repeat({ scenarios, effort, folder = defaultFolder() }: Request, repetitions: number): Promise<number> {
  const environment = { ...describeEnvironment(), effort: effort.name };
  process.stderr.write(`about ${Math.ceil((repetitions * plannedMs({ scenarios, effort })) / 60_000)} min\n`);
  const bar = new ProgressBar();
  const suite = { scenarios, effort, directory: makeDirectory(), progress: bar.show.bind(bar) };
  try {
    const write = (runs: readonly Run[]) => writeSeries({ environment, wanted: repetitions, runs }, folder);
    const runs = await repeatSuite(suite, repetitions, write);
    bar.stop();
    process.stdout.write(formatSeries({ environment, wanted: repetitions, runs }));
    return runs.some(({ rows }) => rows.some(isBroken)) ? 1 : 0;
  } finally {
    bar.stop();
  }
}

/** For sockets, files and compiled programs; gone when the run is. */
function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pillion-bench-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
  return directory;
}

async function measure({ scenarios, effort, withOverhead }: Request): Promise<Result> {
  const environment = { ...describeEnvironment(), effort: effort.name };
  process.stderr.write(`about ${Math.ceil(plannedMs({ scenarios, effort }) / 60_000)} min\n`);
  const bar = new ProgressBar();
  const suite = { scenarios, effort, directory: makeDirectory(), progress: bar.show.bind(bar) };
  try {
    const rows = await runSuite(suite);
    const overhead = withOverhead ? await measureWorkload(suite) : [];
    return { schema: 1, environment, rows, verdicts: judge(rows), overhead };
  } finally {
    bar.stop();
  }
}

/** A rate that a transport can't keep is a finding about it, and a row without figures; but nothing is broken. */
function isBroken({ status }: { status: string }): boolean {
  return status.startsWith('failed') && !status.includes('rate missed');
}

/** Loaded when it is wanted, because it brings packages that a single case of one's own doesn't need. */
async function measureWorkload({ effort, directory, progress }: Suite): Promise<OverheadRow[]> {
  const { measureOverhead } = await import('./overhead/measure.js');
  return measureOverhead({ ...effort.overhead, directory, progress: (text) => progress({ text: `overhead: ${text}`, share: 1 }) });
}
