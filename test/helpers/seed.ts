import { randomInt } from 'node:crypto';

/** Random numbers that come again when the seed does. */
export interface Random {
  readonly seed: number;
  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number;
}

/** Mulberry32. The seed is that of PILLION_TEST_SEED if it is set; print it, so that a failure can be repeated. */
export function random(seed = Number(process.env['PILLION_TEST_SEED'] ?? randomInt(2 ** 31))): Random {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return { seed, below: (limit) => next() % limit };
}
