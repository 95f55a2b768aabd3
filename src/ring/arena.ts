import { ARENA_ALIGNMENT } from './layout.js';

/**
 * Which parts of an arena are taken: first fit over a list of the free parts, neighbours joined when they are freed. Private to the side that writes the arena; nothing
 * of it lies in shared memory, so nobody else can spoil it.
 */
export class ArenaAllocator {
  readonly capacity: number;
  usedBytes = 0;
  /** Free parts, by offset. */
  private readonly free: { offset: number; bytes: number }[];
  private readonly taken = new Map<number, number>();

  constructor(capacity: number) {
    this.capacity = capacity;
    this.free = capacity > 0 ? [{ offset: 0, bytes: capacity }] : [];
  }

  get blockCount(): number {
    return this.taken.size;
  }

  /** The offset of a block of at least `bytes` bytes, or -1 if no free part is large enough now. */
  allocate(bytes: number): number {
    const needed = blockBytes(bytes);
    const index = this.free.findIndex((part) => part.bytes >= needed);
    if (index < 0) return -1;
    const part = this.free[index] as { offset: number; bytes: number };
    const { offset } = part;
    part.offset += needed;
    part.bytes -= needed;
    if (part.bytes === 0) this.free.splice(index, 1);
    this.taken.set(offset, needed);
    this.usedBytes += needed;
    return offset;
  }

  /** Gives back the block that begins at `offset`. */
  release(offset: number): void {
    const bytes = this.taken.get(offset);
    if (bytes === undefined) throw new RangeError(`no block begins at offset=${offset}`);
    this.taken.delete(offset);
    this.usedBytes -= bytes;
    const index = this.firstPartBehind(offset);
    const before = this.free[index - 1];
    const behind = this.free[index];
    const joinsBefore = before !== undefined && before.offset + before.bytes === offset;
    const joinsBehind = behind !== undefined && offset + bytes === behind.offset;
    if (joinsBefore) {
      before.bytes += bytes + (joinsBehind ? behind.bytes : 0);
      if (joinsBehind) this.free.splice(index, 1);
    } else if (joinsBehind) {
      behind.offset = offset;
      behind.bytes += bytes;
    } else {
      this.free.splice(index, 0, { offset, bytes });
    }
  }

  private firstPartBehind(offset: number): number {
    let low = 0;
    for (let high = this.free.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((this.free[middle] as { offset: number }).offset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** What a block of so many bytes takes in the arena. Not with bit operations, which end at 2 GiB. */
export function blockBytes(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / ARENA_ALIGNMENT)) * ARENA_ALIGNMENT;
}
