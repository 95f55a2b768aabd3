import { PillionError } from '../errors.js';

/** One entry of a name table: what a side sends under an index. */
export interface NameEntry {
  readonly name: string;
  /** `event`, `method`, or a kind that only the peer knows. */
  readonly kind: string;
  readonly codec: string;
}

export const MAX_NAMES = 4096;
const MAX_NAME_LENGTH = 256;

/** Checks a name table that came from a peer, and returns a copy with just the known fields. */
export function parseNames(value: unknown): NameEntry[] {
  if (!Array.isArray(value) || value.length > MAX_NAMES) throw bad(`names must be an array of at most ${MAX_NAMES} entries`);
  return value.map((entry: unknown, index) => {
    const { name, kind, codec } = (entry ?? {}) as Partial<Record<string, unknown>>;
    if (typeof name !== 'string' || name.length === 0 || name.length > MAX_NAME_LENGTH) throw bad(`names[${index}].name is not a name`);
    if (typeof codec !== 'string' || codec.length > MAX_NAME_LENGTH) throw bad(`names[${index}].codec is not a name`);
    if (typeof kind !== 'string') throw bad(`names[${index}].kind is not a name`);
    // A kind of a later version keeps its place, so that the indices stay right; nothing here matches it.
    return { name, kind, codec };
  });
}

function bad(what: string): PillionError {
  return new PillionError('ERR_PILLION_PROTOCOL', `the peer's handshake is malformed: ${what}`);
}
