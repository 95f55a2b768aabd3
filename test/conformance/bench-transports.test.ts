import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Child } from '../../bench/rig/child.js';
import type { Conditions, Outcome } from '../../bench/rig/lane.js';
import { Unavailable } from '../../bench/rig/questions.js';
import { transportNames } from '../../bench/transports/index.js';

/** Every adapter of the benchmark suite, through the processes that measure. */

const directory = mkdtempSync(join(tmpdir(), 'pillion-transports-'));
const timeoutMs = 20_000;
const plan = { runInMs: 10, warmupMs: 5, durationMs: 30 };
const app = new URL('../../bench/rig/app.js', import.meta.url);
const undisturbed: Conditions = {
  pattern: 'call',
  payloadBytes: 512,
  gapUs: 0,
  ratePerSec: 0,
  clients: 1,
  busyShare: 0,
  cpuLoad: false,
  placement: 'free',
};

test.after.always('leaves nothing behind', (t) => {
  rmSync(directory, { recursive: true, force: true });
  t.deepEqual(
    commandLines().filter((line) => line.includes(directory)),
    [],
  );
});

for (const transport of [...transportNames.filter((name) => !name.startsWith('limit')), './examples/bench/datagram.mjs']) {
  test.serial(`${transport} delivers every message of what it offers, whole and once`, async (t) => {
    const offered: string[] = [];
    for (const [name, conditions] of Object.entries(cases)) {
      const outcome = await measure(transport, conditions);
      if (outcome instanceof Error) t.log(`${name}: ${outcome.message}`);
      else {
        t.true(outcome.count > 0, name);
        offered.push(name);
      }
    }
    t.log(offered.join(', '));
  });
}

test('a transport that loses a message is no result', async (t) => {
  const error = await t.throwsAsync(measure('./test/fixtures/node/losing-transport.mjs', { pattern: 'call-sync' }));
  t.regex(error?.message ?? '', /sent \d+, but received \d+/);
});

const cases: Record<string, Partial<Conditions>> = {
  'a call': { payloadBytes: 16 },
  'a large call': { payloadBytes: 16 * 1024 },
  'calls at a rate': { ratePerSec: 200 },
  'two clients': { clients: 2 },
  'a lookup': { pattern: 'lookup' },
  events: { pattern: 'event', payloadBytes: 64 },
  'log lines': { pattern: 'send' },
};

async function measure(transport: string, conditions: Partial<Conditions>): Promise<Outcome | Error> {
  const child = new Child('app', app);
  try {
    const lane = { ...undisturbed, ...conditions, transport, directory: mkdtempSync(join(directory, 'lane-')) };
    await child.ask('open', lane, timeoutMs);
    return await child.ask('round', plan, timeoutMs);
  } catch (error) {
    // On a busy machine a rate may be missed, and that this is found out is right.
    const isNoFault = error instanceof Unavailable || (error as Error).message.startsWith('rate missed');
    if (isNoFault) return error as Error;
    throw error;
  } finally {
    await child.end();
  }
}

function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    });
}
