import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Build } from './build.js';
import type { Metric } from './metrics.js';
import type { PairOptions } from './pairs.js';
import { measurePairs } from './pairs.js';
import { median } from './statistics.js';

/** Which method of the client the metric goes through. */
const methods: Record<string, string> = { call: 'call', send: 'send', 'call-object': 'call', 'call-sync': 'callSync', 'one-way': 'send' };
const firstGuess = 40;
const attempts = 4;

/** A library that does the same as `library`, with a number of useless steps before each call of one method. */
export function plant(library: string, folder: string, method: string, steps: number): Build {
  mkdirSync(folder, { recursive: true });
  const original = JSON.stringify(pathToFileURL(library).href);
  const text = `import { connect as connectAsItWas } from ${original};
export * from ${original};
let state = 1;
export function connect(...args) {
  const client = connectAsItWas(...args);
  const method = client.${method}.bind(client);
  client.${method} = (...args) => {
    for (let i = 0; i < ${steps}; i++) state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return method(...args);
  };
  return client;
}
`;
  const file = join(folder, `planted-${method}-${steps}.mjs`);
  writeFileSync(file, text);
  return { name: 'this', library: file };
}

/** Looks for the number of steps that makes `metric` slower by `slowDown`, measured as the gate measures. */
export async function calibrate(
  options: Omit<PairOptions, 'current' | 'metrics'>,
  metric: Metric,
  slowDown: number,
): Promise<{ build: Build; ratio: number }> {
  const method = methods[metric.name];
  if (method === undefined) throw new Error(`metric=${metric.name} can't be slowed down`);
  let steps = firstGuess;
  for (let attempt = 1; ; attempt++) {
    const build = plant(options.base.library, join(options.directory, 'planted'), method, steps);
    const [series] = await measurePairs({ ...options, current: build, metrics: [metric] });
    const ratio = median(series?.ratios ?? []);
    const isNear = Math.abs(ratio - 1 - slowDown) < 0.015;
    if (isNear || attempt === attempts) return { build, ratio };
    steps = Math.max(1, Math.round(steps * Math.min(4, Math.max(0.25, slowDown / Math.max(ratio - 1, 0.01)))));
  }
}
