/**
 * Collects young garbage when enough of it lies in large blocks. V8 leaves blocks that it has not allocated itself alone until 64 MiB of them have piled up, and then marks
 * the whole heap, which takes 20 times as long; and what comes back after so many bytes is no longer in any cache. See docs/decisions/0008-collecting-blocks.md.
 */

const MIB = 2 ** 20;
/** In the cache of most machines. */
const LEAST_BYTES = 8 * MIB;
const MOST_BYTES = 24 * MIB;
/** What a collection may cost: about as much as copying a message twice. Where it takes longer, because much is alive, it happens less often. */
const MS_PER_MIB = 0.025;

let collect: (() => void) | null | undefined;
let limit = LEAST_BYTES;
let uncollected = 0;

/** So many bytes are about to be allocated in a block. */
export function noteBlock(bytes: number): void {
  uncollected += bytes;
  if (uncollected < limit) return;
  uncollected = bytes;
  if (collect === undefined) collect = findCollect();
  if (collect === null) return;
  const begun = performance.now();
  collect();
  const mib = (performance.now() - begun) / MS_PER_MIB;
  limit = Math.min(MOST_BYTES, Math.max(LEAST_BYTES, mib * MIB));
}

/** V8's own function for it, which it hands to contexts that are made while the flag is set. */
function findCollect(): (() => void) | null {
  try {
    const gc = takeCollector();
    return () => void gc({ type: 'minor' });
  } catch {
    // Where it cannot be had, V8 decides alone.
    return null;
  }
}

/** Not the app's global of that name, which may be anything. */
function takeCollector(): NonNullable<typeof globalThis.gc> {
  // Loaded when the first large messages come: most apps never need them.
  const { setFlagsFromString } = process.getBuiltinModule('node:v8');
  const { runInNewContext } = process.getBuiltinModule('node:vm');
  // The flag is only taken back by whom it was set.
  const given = runInNewContext('globalThis.gc');
  if (given !== undefined) return given;
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext('gc');
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
