import { native } from '../native.js';

/** Below this the allocator has memory at hand that was touched before. */
const LEAST_BYTES = 64 * 1024;
/** So long after the last large message what is not in use goes back to the system. */
const TRIM_AFTER_MS = 2000;

let isTrimDue = false;
let wasUsed = false;
/** Kept, lest the allocation be optimised away. */
export let nudge: ArrayBuffer;

/**
 * V8 counts the bytes of every young ArrayBuffer, but only when it allocates one itself does it look whether a quick collection is due (at 32 MiB). Without
 * that, blocks pile up until it marks the whole heap, which takes 20 times as long. So it gets something tiny to allocate.
 */
function letCollect(): void {
  nudge = new ArrayBuffer(1);
}

/** Memory for a message of so many bytes, with any content. Large blocks are used again, because fresh pages cost more than the copying. */
export function allocateBlock(bytes: number): Buffer {
  if (bytes >= LEAST_BYTES) {
    letCollect();
    const block = native().addon?.allocateBlock(bytes);
    if (block !== undefined) {
      wasUsed = true;
      if (!isTrimDue) trimLater();
      return Buffer.from(block);
    }
  }
  return Buffer.allocUnsafeSlow(bytes);
}

function trimLater(): void {
  isTrimDue = true;
  wasUsed = false;
  setTimeout(() => {
    isTrimDue = false;
    if (wasUsed) trimLater();
    else native().addon?.trimBlocks();
  }, TRIM_AFTER_MS).unref();
}
