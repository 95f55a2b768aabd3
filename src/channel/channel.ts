import type { TransportName } from '../protocol/handshake.js';
import type { RingConsumer } from '../ring/consumer.js';
import type { RingProducer } from '../ring/producer.js';
import type { LoanReader } from './loans.js';

/** What a channel tells its session. */
export interface ChannelListener {
  /** There is something to read, or space that was waited for. Told again, after other work of the event loop, while something is left to read. */
  onReady(): void;
  /** The peer is gone, or broke the socket's rules (then with an error). What it had published can still be read. Told once. */
  onHangup(error?: Error): void;
}

/**
 * One connection's way for frames: two rings and the means to wake the other side. The session reads and writes the rings itself; over shared
 * memory that is all there is, over a socket the channel carries records between rings that are private to each side.
 *
 * Conformance: test/conformance runs one suite over every implementation.
 */
export interface Channel {
  readonly transport: TransportName;
  readonly producer: RingProducer;
  readonly consumer: RingConsumer;
  /** The payloads that inbound LOAN records point at. */
  readonly loans: LoanReader;
  /** Doorbells rung so far, i.e. system calls made to wake the peer. */
  readonly doorbellCount: number;

  /** From now on events go to this listener. */
  listen(listener: ChannelListener): void;
  /** After publishing events: see that the peer will read them, at the latest at the end of this turn of the event loop or within its linger time. */
  announceEvents(): void;
  /** After publishing anything else: see that the peer reads it now. */
  announce(): void;
  /** After a batch of reads and releases: tell the peer about the space, and remember how far was read. */
  settle(): void;
  /** While not `no`, `onReady` is also called when the peer gives space back. `message`: in the middle of a message, so it will be soon. Call after looking. */
  waitForSpace(what: 'no' | 'flush' | 'message'): void;
  /** Everybody who waits for space has looked again: what the peer gives back from now on is news. Implied by `onReady`. */
  noteLook(): void;
  /** Is an arrival expected? Then waiting for it may spin. */
  expectArrival(on: boolean): void;
  /** Looks for a moment whether the peer, if it is awake, gives space back. True: try again. */
  spinForSpace(): boolean;
  /** Has a part of a message arrived? Then the rest will be here soon. */
  expectRest(on: boolean): void;
  /** Events were read: while they keep coming the loop dozes rather than sleeps. */
  noteEvents(count: number): void;
  /** While on, arriving data does not cause `onReady`. */
  pause(on: boolean): void;
  /** Looks for a moment whether more is coming, as long as recent waits make that likely or for `limitNs`. True: there is something to read. */
  spin(limitNs?: number): boolean;
  /**
   * Blocks this thread until there is something to read or space (1), the time is over (0), or the peer is gone and nothing is left (-1). `isForSpace`: the caller waits for space, and
   * has nothing that must get through meanwhile.
   */
  wait(ms: number, isForSpace: boolean): 1 | 0 | -1;
  /** Does this connection keep the process alive? Not unless told to. */
  keepAlive(on: boolean): void;
  /** Ends the connection after what was published. Safe to call twice. The memory is not touched. */
  close(): void;
}
