import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { packageFile } from '../helpers/root.js';

/** What the guesses of native/spin_predictor.h cost and save, in simulated time: test/fixtures/native/waits.cc. */

const directory = mkdtempSync(join(tmpdir(), 'pillion-waits-'));
const program = join(directory, 'waits');
const waits = 10_000;

interface Costs {
  vainShare: number;
  sleeps: number;
  lateSleeps: number;
}

function simulate(peer: 'unknown' | 'awake' | 'woken', waitUs: number, wakeUs: number): Costs {
  return JSON.parse(execFileSync(program, [peer, waitUs, wakeUs, waits].map(String), { encoding: 'utf8' })) as Costs;
}

test.before(() => {
  execFileSync('g++', ['-O1', '-std=c++17', '-Wall', '-Wextra', '-o', program, packageFile('test/fixtures/native/waits.cc')]);
});
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

for (const peer of ['unknown', 'awake', 'woken'] as const) {
  test(`spinning in vain costs at most 3 % of the time, however long the waits are (peer ${peer})`, (t) => {
    for (const waitUs of [1, 20, 45, 70, 120, 180, 300, 600, 1_000, 2_000, 10_000, 100_000]) {
      for (const wakeUs of [5, 20, 70, 200, 500]) {
        const { vainShare } = simulate(peer, waitUs, wakeUs);
        t.true(vainShare <= 0.03, `${vainShare} for waits of ${waitUs} us and wake-ups of ${wakeUs} us`);
      }
    }
  });
}

test('short waits are spun through soon, though the first ones were slept through', (t) => {
  for (const wakeUs of [5, 20, 70]) t.like(simulate('unknown', 1, wakeUs), { lateSleeps: 0 });
  for (const wakeUs of [5, 20, 70, 200, 500]) {
    for (const waitUs of [1, 20, 45]) {
      t.like(simulate('awake', waitUs, wakeUs), { lateSleeps: 0 });
      t.like(simulate('woken', waitUs, wakeUs), { lateSleeps: 0 });
    }
  }
});

test('where a wake-up takes long, a wait of about that length is spun through, and a longer one slept through', (t) => {
  t.like(simulate('woken', 70, 200), { lateSleeps: 0 });
  t.like(simulate('awake', 70, 200), { lateSleeps: 0 });
  t.true(simulate('woken', 300, 20).lateSleeps > 0.98 * (waits / 2));
  t.is(simulate('awake', 300, 20).lateSleeps, waits / 2);
});
