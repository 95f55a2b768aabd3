import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';

/** What CI reports rests on counting lines of AVA's output. */

const good = `
  ✔ unit › ring › wraps (12ms)
    ℹ seed 7
  - unit › ring › on other platforms
  ✔ [expected fail] unit › ring › known
  ─

  2 tests passed
  1 test skipped
`;
const bad = `
  ✔ unit › ring › wraps
  ✘ [fail]: unit › ring › grows Rejected promise returned by test
  ✘ test/fault/kill.test.ts exited due to SIGSEGV
  ─

  unit › ring › grows

  1 test failed
`;
const uncaught = `
  ✔ unit › ring › wraps
  ─
  2 uncaught exceptions
  1 unhandled rejection
`;
const killed = `
  ✔ unit › ring › wraps
  ✔ unit › ring › grows
`;

const count = (...outputs: string[]): string => over('scripts/count-tests.mjs', outputs);
const show = (...outputs: string[]): string => over('scripts/show-failures.mjs', outputs);

function over(script: string, outputs: readonly string[]): string {
  const directory = mkdtempSync(join(tmpdir(), 'pillion-count-'));
  try {
    const files = outputs.map((output, index) => {
      const file = join(directory, String(index));
      writeFileSync(file, output);
      return file;
    });
    return execFileSync(process.execPath, [script, ...files], { encoding: 'utf8' });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('counts what passed and what failed', (t) => {
  t.is(count(good), '2 passed, 0 failed\n');
});

test('counts a file that crashed, which the summary of AVA leaves out', (t) => {
  t.is(count(bad), '1 passed, 2 failed\n');
});

test('counts errors outside of tests', (t) => {
  t.is(count(uncaught), '1 passed, 3 failed\n');
});

test('counts what ran before AVA was killed', (t) => {
  t.is(count(killed), '2 passed, 0 failed\n');
});

test('sums several outputs', (t) => {
  t.is(count(good, bad, uncaught), '4 passed, 5 failed\n');
});

test('shows which tests failed, and why, without those that passed', (t) => {
  t.is(show(good, killed), '');
  const shown = show(good, bad);
  t.regex(shown, /^3 lines of failures:\n {2}✘ \[fail\]: unit › ring › grows/);
  t.notRegex(shown, /✔/);
  t.regex(show(uncaught), /2 uncaught exceptions/);
});

test('what it shows of many failures stays short', (t) => {
  const many = Array.from({ length: 500 }, (_, n) => `  ✘ [fail]: unit › ring › ${n}\n`).join('');
  t.true(show(`${many}  ─\n${'  a reason\n'.repeat(500)}`).split('\n').length < 110);
});
