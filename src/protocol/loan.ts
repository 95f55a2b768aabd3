import { ProtocolError } from '../errors.js';
import type { Block } from '../ring/copy.js';
import { ARENA_ALIGNMENT } from '../ring/layout.js';
import { EVENT, flagsOf, kindOf, LOAN, META, MORE } from './frame.js';

/** docs/protocol.md, section 5: an EVENT whose payload lies in the arena, and whose record only says where. */

export const LOAN_PAYLOAD_BYTES = 8;

export interface Place {
  readonly offset: number;
  readonly length: number;
}

export function isLoan(tag: number): boolean {
  return kindOf(tag) === EVENT && (flagsOf(tag) & LOAN) !== 0;
}

/** The payload of a LOAN record, as words. */
export function loanWords({ offset, length }: Place): Int32Array {
  return Int32Array.of(offset, length);
}

/**
 * Where a LOAN record says that its payload lies, checked. `source` holds the record's payload at `at`, in shared memory perhaps: each word is loaded once.
 */
export function readPlace(source: Block, at: number, recordPayloadBytes: number, tag: number, arenaBytes: number): Place {
  if (recordPayloadBytes !== LOAN_PAYLOAD_BYTES) throw new ProtocolError(`a LOAN record carries ${recordPayloadBytes} bytes`);
  if ((flagsOf(tag) & (MORE | META)) !== 0) throw new ProtocolError('a LOAN record says that more follows, or that it has headers');
  const words = source.words as Int32Array;
  const offset = (words[at >> 2] as number) >>> 0;
  const length = (words[(at >> 2) + 1] as number) >>> 0;
  if (arenaBytes === 0 || offset % ARENA_ALIGNMENT !== 0 || offset + length > arenaBytes) {
    throw new ProtocolError(`a LOAN record points at offset=${offset}, length=${length} in an arena of ${arenaBytes} bytes`);
  }
  return { offset, length };
}
