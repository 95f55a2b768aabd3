#!/usr/bin/env node
/** The command `pillion-bench`. What only measuring needs is no dependency of pillion, so it may be missing. */

const packages = 'cli-progress cli-table3 hdr-histogram-js tinybench';

try {
  await import('./run.js');
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code !== 'ERR_MODULE_NOT_FOUND') throw error;
  process.stderr.write(`${message}\npillion-bench needs some packages of its own: npm install --save-dev ${packages}\n`);
  process.exitCode = 2;
}
