import { native } from '../native.js';
import { noteBlock } from './collect.js';

/** Below this the allocator has memory at hand that was touched before. */
const LEAST_BYTES = 64 * 1024;
/** So long after the last large message what is not in use goes back to the system. */
const TRIM_AFTER_MS = 2000;

let isTrimDue = false;
let wasUsed = false;

/** Memory for a message of so many bytes, with any content. Large blocks are used again, because fresh pages cost more than the copying. */
export function allocateBlock(bytes: number): Buffer {
  if (bytes >= LEAST_BYTES) {
    noteBlock(bytes);
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
