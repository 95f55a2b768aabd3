import test from 'ava';
import { decide } from '../../../bench/gate/decide.js';
import { holm, median, mulberry32, signFlipP } from '../../../bench/gate/statistics.js';

const criteria = { ratio: 1.07, alpha: 0.01 };

test('the sign-flip test counts the assignments that are at least as extreme', (t) => {
  t.is(signFlipP([1, 1, 1]), 1 / 8);
  t.is(signFlipP([1, 1, 1, 1, 1, 1, 1, 1, 1, 1]), 1 / 1024);
  t.is(signFlipP([-1, -1]), 1);
  t.is(signFlipP([]), 1);
});

test('with many pairs it samples, and a clear difference stays clear', (t) => {
  t.true(signFlipP(Array.from({ length: 30 }, () => 0.1)) < 0.001);
  t.true(signFlipP(Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? 0.1 : -0.1))) > 0.3);
});

test('Holm multiplies the smallest p-value most and keeps the order', (t) => {
  t.deepEqual(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
  t.deepEqual(holm([0.9, 0.9]), [1, 1]);
});

test('equal builds on a machine with outliers never fail in two series', (t) => {
  const random = mulberry32(20261123);
  const failures = Array.from({ length: 1_000 }, () => twice(() => noisyRatio(random, 1))).filter(Boolean).length;
  t.is(failures, 0);
});

test('a build that is 15 % slower is caught at a spread of 5 %', (t) => {
  const random = mulberry32(7);
  const caught = Array.from({ length: 1_000 }, () => twice(() => 1.15 * Math.exp(0.05 * normal(random)))).filter(Boolean).length;
  t.true(caught >= 990, `${caught} of 1000`);
});

test('a significant difference below the ratio is fine', (t) => {
  const [decision] = decide([{ metric: 'call', ratios: Array.from({ length: 10 }, (_, i) => 1.02 + i / 10_000) }], criteria);
  t.is(decision?.verdict, 'fine');
  t.true((decision?.p ?? 1) < 0.01);
});

test('noise that could hide a slow-down is called undecided', (t) => {
  const [decision] = decide([{ metric: 'call', ratios: [0.5, 2, 0.6, 1.8, 0.4, 2.2, 0.9, 1.1, 0.7, 1.6] }], criteria);
  t.is(decision?.verdict, 'undecided');
});

test('the median of an even number of values lies between the middle ones', (t) => {
  t.is(median([4, 1, 3, 2]), 2.5);
});

function twice(ratio: () => number): boolean {
  const isSlower = () => decide([{ metric: 'call', ratios: Array.from({ length: 10 }, ratio) }], criteria)[0]?.verdict === 'slower';
  return isSlower() && isSlower();
}

/** Mostly close, sometimes far away in either direction, as when one of the two ran in another mode. */
function noisyRatio(random: () => number, centre: number): number {
  const isOutlier = random() < 0.1;
  return centre * Math.exp((isOutlier ? 2 : 0.05) * normal(random));
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
