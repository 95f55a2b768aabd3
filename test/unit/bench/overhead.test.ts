import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import test from 'ava';
import type { OverheadOptions } from '../../../bench/overhead/measure.js';
import { measureOverhead } from '../../../bench/overhead/measure.js';
import type { OverheadRow } from '../../../bench/result.js';
import { until } from '../../helpers/deadline.js';

const directory = mkdtempSync(join(tmpdir(), 'pillion-overhead-'));
const short = { directory, rounds: 2, durationMs: 300, ratePerSec: 200, progress() {} };

test.after.always(() => rmSync(directory, { recursive: true, force: true }));

/** The processes of the workload that are running now. */
function running(program: 'app' | 'sidecar', variant = ''): number[] {
  const isWanted = (pid: string) => {
    const [, script = '', of = '', where = ''] = commandOf(pid);
    return script.endsWith(`/overhead/${program}.js`) && of.includes(variant) && where.startsWith(directory);
  };
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && isWanted(pid))
    .map(Number);
}

/** Without the flags of Node. */
function commandOf(pid: string): string[] {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return command.filter((argument) => !argument.startsWith('--'));
  } catch {
    return [];
  }
}

function kill(program: 'app' | 'sidecar', variant: string): void {
  for (const pid of running(program, variant)) process.kill(pid, 'SIGKILL');
}

async function nobodyIsLeft(): Promise<void> {
  await until('no process of the workload is left', () => running('app').length + running('sidecar').length === 0);
}

const mostTries = 6;

/** A crowded machine misses rates, which is a failure as it should be, but none that these tests look for. */
async function measureInTime(options: Partial<OverheadOptions>): Promise<OverheadRow[]> {
  for (let tries = 1; ; tries++) {
    const rows = await measureOverhead({ ...short, ...options });
    if (tries === mostTries || !rows.some(({ status }) => status.startsWith('failed: rate missed'))) return rows;
  }
}

/** Does something when a certain round begins. */
function atRound(text: string, act: () => void): Partial<OverheadOptions> {
  return {
    progress(now) {
      if (now === text) act();
    },
  };
}

function onlyFailed(t: ExecutionContext, rows: readonly OverheadRow[], variant: string): OverheadRow {
  const failed = rows.find((row) => row.variant === variant) as OverheadRow;
  t.true(failed.status.startsWith('failed: '), failed.status);
  t.is(failed.appCpuMsPer1000, null);
  t.is(failed.requests, 0);
  for (const row of rows) if (row !== failed) t.is(row.status, 'ok', row.variant);
  return failed;
}

test.serial('one workload is measured in three ways, and each request is accounted for', async (t) => {
  const texts = new Set<string>();
  const rows = await measureInTime({ progress: (text) => texts.add(text) });
  t.deepEqual(
    rows.map(({ variant, status, rounds, requests, ratePerSec }) => ({ variant, status, rounds, requests, ratePerSec })),
    ['embedded', 'http', 'pillion'].map((variant) => ({ variant, status: 'ok', rounds: 2, requests: 120, ratePerSec: 200 })) as never,
  );
  const [embedded, http, pillion] = rows as [OverheadRow, OverheadRow, OverheadRow];
  for (const row of rows) {
    t.true((row.appCpuMsPer1000 ?? 0) > 0 && (row.appRssMiB ?? 0) > 10, row.variant);
    t.true((row.p50Us ?? 0) > 0 && (row.p99Us ?? 0) >= (row.p50Us ?? 0), row.variant);
  }
  t.is(embedded.sidecarCpuMsPer1000, 0);
  t.is(embedded.sidecarRssMiB, 0);
  t.is(embedded.networkBytesPerRequest, 0);
  for (const row of [http, pillion]) t.true((row.sidecarCpuMsPer1000 ?? 0) > 0 && (row.sidecarRssMiB ?? 0) > 10, row.variant);
  // Three exchanges with headers in both directions; and at most a doorbell for each message and its answer.
  t.true((http.networkBytesPerRequest ?? 0) > 600);
  t.true((pillion.networkBytesPerRequest ?? 99) <= 6);
  t.is(texts.size, 9);
  await nobodyIsLeft();
});

test.serial('a sidecar that is killed before a round makes exactly its row fail', async (t) => {
  const rows = await measureInTime(atRound('http, round 2 of 2', () => kill('sidecar', 'http')));
  t.is(onlyFailed(t, rows, 'http').status, 'failed: the sidecar ended by itself (SIGKILL)');
  await nobodyIsLeft();
});

for (const variant of ['http', 'pillion']) {
  test.serial(`a sidecar that is killed within a round makes exactly its row fail: ${variant}`, async (t) => {
    const rows = await measureInTime(atRound(`${variant}, round 1 of 2`, () => setTimeout(kill, 200, 'sidecar', variant)));
    t.is(onlyFailed(t, rows, variant).status, 'failed: the sidecar ended by itself (SIGKILL)');
    await nobodyIsLeft();
  });
}

test.serial('an app that is killed while it waits for its turn makes exactly its row fail, and takes its sidecar with it', async (t) => {
  const rows = await measureInTime(atRound('embedded, round 1 of 2', () => kill('app', 'pillion')));
  t.is(onlyFailed(t, rows, 'pillion').status, 'failed: the app ended by itself (SIGKILL)');
  await nobodyIsLeft();
});

test.serial('a rate that was missed is a failure and no result', async (t) => {
  const rows = await measureOverhead({ ...short, rounds: 1, ratePerSec: 8_000 });
  const http = rows.find(({ variant }) => variant === 'http');
  t.regex(http?.status ?? '', /^failed: rate missed/);
  t.is(http?.p50Us, null);
  await nobodyIsLeft();
});

test.serial('nobody outlives a killed suite', async (t) => {
  const measure = new URL('../../../bench/overhead/measure.js', import.meta.url).href;
  const options = JSON.stringify({ ...short, durationMs: 30_000 });
  // A file, because what is given to Node on its command line would be run by each of its forks too.
  const script = join(directory, 'suite.mjs');
  writeFileSync(
    script,
    `const { measureOverhead } = await import(${JSON.stringify(measure)});
     await measureOverhead({ ...${options}, progress() {} });`,
  );
  const suite = spawn(process.execPath, [script], { stdio: ['ignore', 'ignore', 'inherit'] });
  await until('the workload runs', () => running('app').length === 3 && running('sidecar').length === 2);
  suite.kill('SIGKILL');
  await once(suite, 'exit');
  await nobodyIsLeft();
  t.deepEqual([...running('app'), ...running('sidecar')], []);
});
