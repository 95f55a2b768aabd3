import { PillionError } from '../errors.js';
import { LOAN } from '../protocol/frame.js';
import { blockBytes } from '../ring/arena.js';
import type { Arena } from './arena.js';
import type { ClientMemory } from './client-memory.js';
import { type Borrowed, placeOf, unwatch, watch } from './leaks.js';
import { invalidate } from './view-checks.js';

/** Memory in which a message is written where the sidecar will read it. */
export interface Claim {
  /** To be filled before `commit`; what it contains until then is undefined. Not to be used after `commit` or `abort`, nor its `buffer` ever. */
  readonly view: Uint8Array;
  /**
   * Sends the first `length` bytes, all by default. True: accepted, as by `send`, and the claim is over. False: there is no space for it now, and it may be tried again;
   * or the client is closed.
   *
   * @throws PillionError ERR_PILLION_CLAIM_OVER if it was committed or aborted before.
   */
  commit(length?: number): boolean;
  /** Gives the memory up. Does nothing if the claim is over, so it may stand in a `finally`. */
  abort(): void;
  /** The same, for `using`. */
  [Symbol.dispose](): void;
}

/** What a claim is for. */
export interface ClaimTarget {
  readonly name: string;
  readonly tag: number;
}

/** The session, as far as claims need it. */
export interface ClaimHost<T extends ClaimTarget> {
  readonly isClosed: boolean;
  readonly memory: ClientMemory;
  /** Writes an event with its bytes into the ring; false if it does not fit now. */
  writeEvent(target: T, bytes: Uint8Array, sequence: number): boolean;
  /** Throws if such an event cannot ever be sent. */
  checkEvent(target: T, length: number): void;
  /** Runs `write` with the event's sequence number, again if the connection turns out to be broken; true if it returned true. */
  acceptEvent(target: T, write: (sequence: number) => boolean): boolean;
  refreshHead(): void;
}

/** All claims of a client. */
export class Claims<T extends ClaimTarget> {
  openCount = 0;
  leakedCount = 0;
  private readonly host: ClaimHost<T>;
  private readonly checksViews: boolean;
  /** Arenas of earlier connections in which claims are open. */
  private readonly retired = new Set<Arena>();

  constructor(host: ClaimHost<T>, checksViews: boolean) {
    this.host = host;
    this.checksViews = checksViews;
  }

  /** Null: there is no room now, or the client is closed. `caller` is where the leak report's stack begins. */
  claim(target: T, bytes: number, caller: unknown): Claim | null {
    const { host, checksViews } = this;
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new PillionError('ERR_PILLION_INVALID_ARGUMENT', `a claim of bytes=${String(bytes)} is not a whole number from 0`);
    }
    host.checkEvent(target, bytes);
    if (host.isClosed) return null;
    this.reclaim();
    const { arena } = host.memory;
    const offset = arena === null ? 0 : open(arena, bytes, target);
    if (offset < 0) return null;
    const view = arena === null || checksViews ? new Uint8Array(bytes) : arena.bytes.subarray(offset, offset + bytes);
    const state = new ClaimState(this, target, bytes, arena, offset, checksViews ? placeOf(caller) : null);
    this.openCount++;
    return new WatchedClaim(this, state, view);
  }

  /** Frees the blocks that the server has released. */
  reclaim(): void {
    const { host } = this;
    host.refreshHead();
    const { arena, producer } = host.memory;
    arena?.reclaim(producer.consumedBytes);
  }

  /** For WatchedClaim. */
  commit(state: ClaimState<T>, view: Uint8Array, length: number): boolean {
    const { host } = this;
    if (host.isClosed) {
      this.end(state, false);
      return false;
    }
    if (!state.isOpen) {
      throw new PillionError('ERR_PILLION_CLAIM_OVER', `the claim for "${state.target.name}" was committed or aborted before`);
    }
    if (!Number.isInteger(length) || length < 0 || length > state.bytes) {
      throw new PillionError('ERR_PILLION_INVALID_ARGUMENT', `length=${String(length)} is not from 0 to the ${state.bytes} bytes claimed`);
    }
    const { arena, target } = state;
    const isAccepted = host.acceptEvent(target, (sequence) =>
      arena === null ? host.writeEvent(target, view.subarray(0, length), sequence) : this.lend(state, view, length, sequence),
    );
    if (!isAccepted) return false;
    this.end(state, arena === host.memory.arena);
    if (this.checksViews) invalidate(view);
    return true;
  }

  /** For WatchedClaim. */
  abort(state: ClaimState<T>, view: Uint8Array): void {
    if (this.end(state, false) && this.checksViews) invalidate(view);
  }

  /** The claim's block, or if it was made for an earlier connection a copy, becomes a loan. */
  private lend(state: ClaimState<T>, view: Uint8Array, length: number, sequence: number): boolean {
    const { arena, producer } = this.host.memory;
    if (arena === null) return false;
    const isCopied = arena !== state.arena;
    const offset = isCopied ? arena.take(length) : state.offset;
    if (offset < 0) return false;
    if (isCopied || this.checksViews) arena.bytes.set(view.subarray(0, length), offset);
    try {
      if (arena.lend({ offset, length }, producer, state.target.tag | (LOAN << 8), sequence)) return true;
    } catch (error) {
      // This ring will be replaced, and its arena with it.
      if (isCopied) arena.giveBack(offset);
      throw error;
    }
    if (isCopied) arena.giveBack(offset);
    return false;
  }

  /** False if it was over already. */
  private end(state: ClaimState<T>, isLent: boolean): boolean {
    if (!state.isOpen) return false;
    state.isOpen = false;
    this.openCount--;
    const { arena } = state;
    arena?.close(state.offset, isLent);
    if (arena !== null && !arena.isInUse) this.retired.delete(arena);
    return true;
  }

  /** Nobody has it any more. Claims of a closed client are no leak. */
  takeBack(state: ClaimState<T>): boolean {
    if (!this.end(state, false) || this.host.isClosed) return false;
    this.leakedCount++;
    return true;
  }

  /** The ring of this arena is done. Claims that are open in it can still be filled and committed. */
  retire(arena: Arena): void {
    if (arena.isInUse) this.retired.add(arena);
    arena.retire();
  }

  /** The client is closed: what claims have been filled with goes nowhere. */
  close(): void {
    for (const arena of this.retired) arena.destroy();
    this.retired.clear();
  }
}

function open(arena: Arena, bytes: number, target: ClaimTarget): number {
  if (blockBytes(bytes) <= arena.bytes.length) return arena.open(bytes);
  throw new PillionError(
    'ERR_PILLION_TOO_LARGE',
    `a claim of ${bytes} bytes for "${target.name}" does not fit an arena of arenaBytes=${arena.bytes.length}`,
  );
}

/** A claim without what the user holds of it. */
class ClaimState<T extends ClaimTarget> implements Borrowed {
  readonly target: T;
  readonly bytes: number;
  /** Null: there is none, and the view is private memory. */
  readonly arena: Arena | null;
  readonly offset: number;
  readonly stack: string | null;
  isOpen = true;
  private readonly claims: Claims<T>;

  constructor(claims: Claims<T>, target: T, bytes: number, arena: Arena | null, offset: number, stack: string | null) {
    this.claims = claims;
    this.target = target;
    this.bytes = bytes;
    this.arena = arena;
    this.offset = offset;
    this.stack = stack;
  }

  describe(): string {
    return `a claim of ${this.bytes} bytes for "${this.target.name}" was dropped without commit or abort`;
  }

  takeBack(): boolean {
    return this.claims.takeBack(this);
  }
}

/** Its methods may be used apart from it. Each leads to the whole, so that nothing is taken back while one of them is held. */
class WatchedClaim<T extends ClaimTarget> implements Claim {
  readonly view: Uint8Array;
  readonly commit: (length?: number) => boolean;
  readonly abort: () => void;

  constructor(claims: Claims<T>, state: ClaimState<T>, view: Uint8Array) {
    this.view = view;
    this.commit = (length = state.bytes) => {
      const isAccepted = claims.commit(state, view, length);
      if (!state.isOpen) unwatch(this);
      return isAccepted;
    };
    this.abort = () => {
      claims.abort(state, view);
      unwatch(this);
    };
    watch(this, view, state);
  }

  [Symbol.dispose](): void {
    this.abort();
  }
}
