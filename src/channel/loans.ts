import { ProtocolError } from '../errors.js';
import { type Place, readPlace } from '../protocol/loan.js';
import type { RingConsumer } from '../ring/consumer.js';
import type { Block } from '../ring/copy.js';

/** The payload of a LOAN record: `length` bytes of the block from `offset` on. */
export interface LentPayload extends Place, Block {
  /** Nobody else can change it, and it may be kept. */
  readonly isPrivate: boolean;
}

/** Where the payloads of LOAN records are. */
export interface LoanReader {
  /** The payload of the record that the consumer stands on. Throws ProtocolError if there is none where it says. */
  read(consumer: RingConsumer): LentPayload;
}

/** In the client's arena. */
export class ArenaLoans implements LoanReader {
  private readonly bytes: Uint8Array;
  private readonly words: Int32Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  }

  read(consumer: RingConsumer): LentPayload {
    const { bytes, words } = this;
    return {
      ...readPlace(consumer, consumer.payloadOffset, consumer.payloadLength, consumer.tag, bytes.length),
      bytes,
      words,
      isPrivate: false,
    };
  }
}

/** Nowhere: the peer has no arena, so its first loan is its last. */
export const noLoans: LoanReader = new ArenaLoans(new Uint8Array(0));

const FIRST_BYTES = 65536;

/**
 * Behind their records on the socket. Kept until the record is released; together never more than the client has announced as its arena, and allocated as they
 * arrive.
 */
export class ArrivedLoans implements LoanReader {
  private readonly arenaBytes: number;
  /** Complete ones, by the position behind their record. */
  private readonly arrived = new Map<number, Uint8Array>();
  private arriving: { end: number; length: number; bytes: Uint8Array; filled: number } | null = null;
  private heldBytes = 0;

  constructor(arenaBytes: number) {
    this.arenaBytes = arenaBytes;
  }

  /** Are bytes of a loan to come next? */
  get isArriving(): boolean {
    return this.arriving !== null;
  }

  /** The record that ends at `end` is here, its payload as `source` has it at `at`. */
  begin(source: Block, at: number, recordPayloadBytes: number, tag: number, end: number): void {
    const { length } = readPlace(source, at, recordPayloadBytes, tag, this.arenaBytes);
    if (this.heldBytes + length > this.arenaBytes) throw new ProtocolError(`the peer has more than its ${this.arenaBytes} bytes on loan`);
    this.heldBytes += length;
    this.arriving = { end, length, bytes: new Uint8Array(Math.min(length, FIRST_BYTES)), filled: 0 };
    this.finishIfComplete();
  }

  /** Takes what belongs to the loan from `chunk`, and returns how much that was. */
  append(chunk: Uint8Array, at: number): number {
    const loan = this.arriving;
    if (loan === null) return 0;
    const taken = Math.min(chunk.length - at, loan.length - loan.filled);
    if (loan.filled + taken > loan.bytes.length) {
      const grown = new Uint8Array(Math.min(loan.length, Math.max(loan.filled + taken, 2 * loan.bytes.length)));
      grown.set(loan.bytes.subarray(0, loan.filled));
      loan.bytes = grown;
    }
    loan.bytes.set(chunk.subarray(at, at + taken), loan.filled);
    loan.filled += taken;
    this.finishIfComplete();
    return taken;
  }

  private finishIfComplete(): void {
    const loan = this.arriving;
    if (loan === null || loan.filled < loan.length) return;
    this.arrived.set(loan.end, loan.bytes);
    this.arriving = null;
  }

  /** Everything before this position was released. */
  settle(releasedPosition: number): void {
    for (const [end, { length }] of this.arrived) {
      if (((releasedPosition - end) | 0) < 0) return;
      this.arrived.delete(end);
      this.heldBytes -= length;
    }
  }

  read(consumer: RingConsumer): LentPayload {
    const bytes = this.arrived.get(consumer.readPosition);
    if (bytes === undefined) throw new ProtocolError('the bytes of a loan are not there');
    return { bytes, words: null, offset: 0, length: bytes.length, isPrivate: true };
  }
}
