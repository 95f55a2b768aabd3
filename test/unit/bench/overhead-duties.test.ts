import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Duties, tokenOf } from '../../../bench/overhead/duties.js';
import { LineCounter } from '../../../bench/overhead/line-counter.js';

const directory = mkdtempSync(join(tmpdir(), 'pillion-duties-'));

test.after.always(() => rmSync(directory, { recursive: true, force: true }));

test('tokens of ours have a role, forged ones are refused and not counted', async (t) => {
  const duties = new Duties(join(directory, 'tokens.log'));
  t.is(duties.verify(tokenOf(0)), 'buyer');
  t.is(duties.verify(tokenOf(1)), 'admin');
  const [, signature] = tokenOf(0).split('.');
  for (const forged of ['', 'user-0', 'user-0.', `user-1.${signature}`, `user-0.${signature?.slice(2)}`, `user-0.${signature}00`]) {
    t.throws(() => duties.verify(forged), { message: 'the token is not ours' }, forged);
  }
  t.is((await duties.done()).verified, 2);
});

test('what was done is read from the log file and the metrics', async (t) => {
  const path = join(directory, 'all.log');
  const duties = new Duties(path);
  t.deepEqual(await duties.done(), { verified: 0, lines: 0, counted: 0, observed: 0 });
  for (let request = 0; request < 1_000; request++) {
    duties.log({ level: 30, time: request, msg: 'line', route: '/', ms: 1 });
    if (request % 2 === 0) duties.measure({ route: request % 4 === 0 ? '/a' : '/b', ms: request });
  }
  t.deepEqual(await duties.done(), { verified: 0, lines: 1_000, counted: 500, observed: 500 });
  t.deepEqual(duties.progress, { taken: 1_500, isWritten: true });
  const last = readFileSync(path, 'utf8').trimEnd().split('\n').at(-1) as string;
  t.deepEqual(JSON.parse(last), { level: 30, time: 999, msg: 'line', route: '/', ms: 1 });
});

test('lines of a growing file are counted once, however long the file is', (t) => {
  const path = join(directory, 'growing');
  const counter = new LineCounter(path);
  t.is(counter.count(), 0);
  appendFileSync(path, 'a\nb\nunfinished');
  t.is(counter.count(), 2);
  appendFileSync(path, `\n${'x'.repeat(40_000)}\n`.repeat(3));
  t.is(counter.count(), 2 + 6);
  t.is(counter.count(), 2 + 6);
});
