import { readFileSync } from 'node:fs';
import test from 'ava';

/** The lockfile of a checkout: `npm ci` must take it on every machine, from every registry. */

interface Entry {
  version?: string;
  resolved?: string;
  optionalDependencies?: Record<string, string>;
}

const packages: Record<string, Entry> = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;

test('names no registry', (t) => {
  const found = Object.entries(packages).filter(([, { resolved }]) => resolved !== undefined);
  t.deepEqual(found, []);
});

test('has the optional packages of every platform, not only of the one that wrote it', (t) => {
  const missing = Object.entries(packages).flatMap(([place, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter((name) => !packages[`${place}/node_modules/${name}`] && !packages[`node_modules/${name}`]),
  );
  t.deepEqual(missing, [], 'npm ci refuses such a lockfile; "node scripts/complete-lockfile.mjs" adds what is missing');
});
