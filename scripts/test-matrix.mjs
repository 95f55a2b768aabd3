import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { countTests, explanation } from './lib/ava-summary.mjs';
import { nodeOfMajor, runningMajor } from './lib/node-versions.mjs';

const majors = [20, 22, 24, 26];
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const help = `Usage: npm run test:matrix -- [options]

Runs the tests, as they are built in dist/, under several versions of Node. The addon is not rebuilt: Node-API is stable.

  --only MAJORS       versions, separated by commas: ${majors.join(', ')}
  --others            all but the version that runs this
  --files PATTERN     only these test files, for example 'test/unit/**'; may be given several times
  --minutes N         the most that one version may take (20)
  --help              show this text

Exits with 1 when a test failed under any version, and when none could be run. A version that cannot be had is skipped, with the reason.
`;

const root = fileURLToPath(new URL('..', import.meta.url));
const home = join(root, '.matrix');

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`test:matrix: ${error.message}\n`);
  process.exitCode = 2;
}

async function main() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      others: { type: 'boolean', default: false },
      files: { type: 'string', multiple: true, default: [] },
      minutes: { type: 'string', default: '20' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const limitMs = Number(values.minutes) * 60_000;
  if (!(limitMs > 0)) throw new Error(`minutes=${values.minutes} is not a number above 0`);
  const chosen = chooseMajors(values.only, values.others);
  if (chosen.length === 0) throw new Error('no version is left to run');
  if (!existsSync(join(root, 'dist/test'))) throw new Error('dist/test is not there: build it with "npm run build:ts"');

  await mkdir(home, { recursive: true });
  const rows = [];
  for (const major of chosen) rows.push(await runMajor(major, values.files, limitMs));
  process.stdout.write(`\n${formatTable(rows)}\n`);
  return rows.some(({ result }) => result === 'failed') || rows.every(({ result }) => result === 'skipped') ? 1 : 0;
}

function chooseMajors(only, others) {
  const names = only?.split(',') ?? majors.map(String);
  const unknown = names.find((name) => !majors.includes(Number(name)));
  if (unknown !== undefined) throw new Error(`unknown version=${unknown}; known: ${majors.join(', ')}`);
  return names.map(Number).filter((major) => !(others && major === runningMajor));
}

async function runMajor(major, files, limitMs) {
  let node;
  try {
    node = await nodeOfMajor(major, home);
  } catch (error) {
    await writeFile(join(home, `node-${major}.log`), `${error.message}\n`);
    return { version: String(major), result: 'skipped', remark: reasonOf(error) };
  }
  process.stdout.write(`\nNode ${node.version}\n`);
  const startedAt = performance.now();
  const { output, ending } = await runAva(node.executable, files, limitMs);
  await writeFile(join(home, `node-${major}.log`), output);
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  const counts = countTests(output);
  const isGood = ending === undefined && counts.failed === 0 && counts.passed > 0;
  if (!isGood) process.stdout.write(`${explanation(output)}\n`);
  return {
    version: node.version,
    result: isGood ? 'passed' : 'failed',
    ...counts,
    seconds,
    remark: isGood ? '' : (ending ?? 'no test ran'),
  };
}

/** What AVA printed, and how it ended if not well. Lines of tests are shown as they come. */
function runAva(executable, files, limitMs) {
  // Programs that tests start by name, npm for one, run under the same version.
  const env = { ...process.env, PATH: `${dirname(executable)}${delimiter}${process.env.PATH}`, NO_COLOR: '1' };
  delete env.FORCE_COLOR;
  const ava = join(root, 'node_modules/ava/entrypoints/cli.mjs');
  const child = spawn(executable, [ava, ...files], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  let isOverdue = false;
  const collect = (text) => {
    output += text;
    const shown = text.split('\n').filter((line) => /^\s*[✔✘] /.test(line));
    if (shown.length > 0) process.stdout.write(`${shown.join('\n')}\n`);
  };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', collect);
  const timer = setTimeout(() => {
    isOverdue = true;
    killGroup(child);
  }, limitMs);
  const stop = () => {
    killGroup(child);
    process.exit(130);
  };
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      for (const each of STOP_SIGNALS) process.off(each, stop);
      if (isOverdue) resolve({ output, ending: `stopped after ${limitMs / 60_000} min` });
      else resolve({ output, ending: code === 0 ? undefined : `AVA ended with ${signal ?? `exit code ${code}`}` });
    });
  });
}

/** AVA and the processes of its tests. */
function killGroup({ pid }) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** What went wrong, in one line: of npm's, the first one that is a sentence. */
function reasonOf(error) {
  const [first, ...lines] = error.message.split('\n');
  return lines.find((line) => /^npm error (\S+ ){4}/.test(line))?.replace('npm error ', '') ?? first;
}

function formatTable(rows) {
  const cells = rows.map(({ version, result, passed, failed, skipped, seconds, remark }) => [
    `Node ${version}`,
    result,
    result === 'skipped' ? '' : `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`,
    seconds === undefined ? '' : `${seconds} s`,
    remark,
  ]);
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
