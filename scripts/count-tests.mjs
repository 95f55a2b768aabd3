import { readFileSync } from 'node:fs';
import { countTests } from './lib/ava-summary.mjs';

/** Prints "N passed, N failed" for the outputs of AVA and of the matrix in the files it is given. */
const sum = { passed: 0, failed: 0 };
for (const file of process.argv.slice(2)) {
  const { passed, failed } = countTests(readFileSync(file, 'utf8'));
  sum.passed += passed;
  sum.failed += failed;
}
process.stdout.write(`${sum.passed} passed, ${sum.failed} failed\n`);
