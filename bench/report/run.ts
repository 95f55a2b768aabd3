import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../environment.js';
import type { Result } from '../result.js';
import { renderPage } from './html.js';
import { formatMarkdown, updatePage } from './markdown.js';
import { readResult } from './read.js';
import { chartsOf } from './sections.js';
import { renderSvg } from './svg.js';

const defaultFolder = join(packageRoot, 'bench', 'results');
const pictures = ['communication-cost', 'resource-overhead', 'gap-sweep', 'payload-sweep', 'latency-cpu'];

const help = `Usage: npm run bench:report -- [RESULT.json] [--out FOLDER] [--update PAGE.md]

Makes report.html, report.md and pictures of what "npm run bench -- --json RESULT.json" measured.

  RESULT.json       what to read (bench/results/latest.json)
  --out FOLDER      where to write (bench/results)
  --update PAGE.md  also put the headline between <!-- bench:begin --> and <!-- bench:end --> of this page
`;

process.exitCode = main();

function main(): number {
  try {
    const options = { out: { type: 'string', default: defaultFolder }, update: { type: 'string' }, help: { type: 'boolean' } } as const;
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    if (values.help) process.stdout.write(help);
    else write(positionals[0] ?? join(defaultFolder, 'latest.json'), values.out, values.update);
    return 0;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 2;
  }
}

function write(input: string, folder: string, page: string | undefined): void {
  const result = readResult(input);
  mkdirSync(folder, { recursive: true });
  const put = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    process.stdout.write(`${join(folder, name)}\n`);
  };
  put('report.html', renderPage(result));
  put('report.md', formatMarkdown(result));
  for (const chart of chartsOf(result).filter(({ id }) => pictures.includes(id))) {
    const svg = renderSvg(chart, result.environment);
    if (svg !== undefined) put(`${chart.id}.svg`, svg);
  }
  if (page !== undefined) update(page, result);
}

function update(path: string, result: Result): void {
  try {
    writeFileSync(path, updatePage(readFileSync(path, 'utf8'), result));
  } catch (error) {
    throw new Error(`can't update page=${path}: ${(error as Error).message}`, { cause: error });
  }
  process.stdout.write(`${path}\n`);
}
