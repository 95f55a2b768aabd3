import { readFileSync } from 'node:fs';
import { explanation, failedTests } from './lib/ava-summary.mjs';

/** Prints which tests failed, and why, for the outputs of AVA and of the matrix in the files it is given. Bounded, so that the end of a log has room for it. */
const MAX_NAMES = 20;
const MAX_LINES = 70;
for (const file of process.argv.slice(2)) {
  const output = readFileSync(file, 'utf8');
  const names = failedTests(output);
  if (names.length === 0) continue;
  const reasons = explanation(output)
    .split('\n')
    .filter((line) => !/^\s*(✔.*)?$/.test(line));
  print([`${names.length} lines of failures:`, ...shorten(names, MAX_NAMES), ...shorten(reasons, MAX_LINES)]);
}

function shorten(lines, most) {
  return lines.length <= most ? lines : [...lines.slice(0, most), `... and ${lines.length - most} lines more`];
}

function print(lines) {
  process.stdout.write(`${lines.map((line) => line.slice(0, 200)).join('\n')}\n\n`);
}
