import type { Channel } from '../channel/channel.js';
import type { NativeAddon } from '../native.js';
import type { RingConsumer } from '../ring/consumer.js';

/** Loads of `tail` before giving up: about 2 µs. */
const LOOKS = 2500;
/** Answers in a row that are taken without a turn of the event loop; then timers and other descriptors get theirs. */
const MAX_PER_TURN = 1024;
const MAX_CREDIT = 8;
/** After misses, every how many calls to try again. */
const PROBE_INTERVAL = 64;

/**
 * Whether, and how long, a lone call looks for its answer before it returns a promise that waits for the event loop. Pays only while the sidecar is awake
 * and answers within a microsecond or two; entering JavaScript from the loop costs more than that.
 */
export class InlineWait {
  private readonly turn: Int32Array | null;
  private lastTurn = -1;
  private takenThisTurn = 0;
  private credit = 2;
  private skipped = 0;

  /** Never waits without the addon, which counts the loop's turns, or where spinning is of no use. */
  constructor(addon: NativeAddon | null, maySpin: boolean) {
    this.turn = addon === null || !maySpin ? null : addon.turn;
  }

  /** May a call wait here whose caller blocks its thread anyway? */
  mayWaitSync(channel: Channel): boolean {
    if (this.turn === null || channel.transport !== 'shm' || channel.producer.isConsumerParked) return false;
    return this.credit > 0 || ++this.skipped % PROBE_INTERVAL === 0;
  }

  /** May a call that is about to be written wait here? */
  mayWait(channel: Channel): boolean {
    if (this.turn === null || !this.mayWaitSync(channel)) return false;
    const turn = this.turn[0] as number;
    if (turn !== this.lastTurn) {
      this.lastTurn = turn;
      this.takenThisTurn = 0;
    }
    if (this.takenThisTurn < MAX_PER_TURN) return true;
    // Ends the loop's turn after the callback that we are in.
    this.turn[1] = 1;
    return false;
  }

  /** True if something can be read. */
  wait(consumer: RingConsumer): boolean {
    this.takenThisTurn++;
    for (let look = 0; look < LOOKS; look++) {
      if (!consumer.hasNext()) continue;
      if (this.credit < MAX_CREDIT) this.credit++;
      return true;
    }
    this.credit = this.credit > 0 ? this.credit - 4 : 0;
    return false;
  }
}
