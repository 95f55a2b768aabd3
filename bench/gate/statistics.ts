/** Up to this many pairs all sign assignments are tried. */
const mostExactPairs = 16;
const sampledAssignments = 65_536;

/**
 * One-sided p-value of a paired permutation test: how often would the mean of these differences be as large if their signs were a matter of
 * chance? Assumes nothing about their distribution but that equal builds exchange freely within a pair.
 */
export function signFlipP(differences: readonly number[], seed = 1): number {
  const n = differences.length;
  if (n === 0) return 1;
  // Rounding must not tell the observed assignment from itself.
  const observed = sum(differences) - 1e-12;
  const isExact = n <= mostExactPairs;
  const assignments = isExact ? 2 ** n : sampledAssignments;
  const random = mulberry32(seed);
  let asLarge = isExact ? 0 : 1;
  for (let i = 0; i < assignments; i++) {
    let total = 0;
    for (let k = 0; k < n; k++) {
      const isFlipped = isExact ? (i >> k) & 1 : random() < 0.5;
      total += isFlipped ? -(differences[k] as number) : (differences[k] as number);
    }
    if (total >= observed) asLarge++;
  }
  return asLarge / (isExact ? assignments : assignments + 1);
}

/** Holm's correction: p-values that may be compared with one level although several hypotheses were tested. */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((p, index) => ({ p, index })).sort((a, b) => a.p - b.p);
  const adjusted = new Array<number>(pValues.length).fill(1);
  let least = 0;
  order.forEach(({ p, index }, rank) => {
    least = Math.max(least, Math.min(1, p * (pValues.length - rank)));
    adjusted[index] = least;
  });
  return adjusted;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** Half the width of the median's 95 % confidence interval, from the median absolute deviation, as for a normal distribution. */
export function medianUncertainty(values: readonly number[]): number {
  const centre = median(values);
  const deviation = 1.4826 * median(values.map((value) => Math.abs(value - centre)));
  return (1.96 * 1.2533 * deviation) / Math.sqrt(values.length);
}

/** A small seeded generator (mulberry32, public domain): the same seed gives the same result on every machine. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
