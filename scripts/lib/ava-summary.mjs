/**
 * Counts tests in what AVA's default reporter printed. It prints one line per test, and lines like them for a file that crashed, timed out
 * or ran no test; its closing summary leaves out what passed when anything failed, and never comes when AVA is killed.
 */
export function countTests(output) {
  const lines = output.split('\n');
  const passed = lines.filter((line) => /^\s*✔ /.test(line)).length;
  const broken = lines.filter((line) => /^\s*✘ /.test(line)).length;
  const skipped = lines.filter((line) => /^\s*- (?!\[todo\])/.test(line)).length;
  let summed = 0;
  for (const line of lines) summed += Number(line.match(SUMMARY_OF_FAILURE)?.[1] ?? 0);
  return { passed, failed: Math.max(broken, summed), skipped };
}

const SUMMARY_OF_FAILURE =
  /^\s*(\d+) (?:hooks? failed|tests? failed|unhandled rejections?|uncaught exceptions?|tests? remained pending after a timeout)$/;

/** The lines of tests, and of whole files, that failed. */
export function failedTests(output) {
  return output.split('\n').filter((line) => /^\s*✘ /.test(line) || SUMMARY_OF_FAILURE.test(line));
}

/** What the output says beyond one line per test: the reasons of failures, or why nothing ran. */
export function explanation(output) {
  const start = output.search(/^\s*─+$/m);
  if (start >= 0) return output.slice(start).trim();
  return output
    .split('\n')
    .filter((line) => !/^\s*[✔✘ℹ] /.test(line))
    .join('\n')
    .trim();
}
