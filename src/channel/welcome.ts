import { messageOf, PillionError } from '../errors.js';
import type { NativeAddon, NativeCounterMemory, NativeSegment } from '../native.js';
import {
  chooseVersion,
  encodeHandshake,
  HANDSHAKE_HEADER_BYTES,
  HELLO,
  type Hello,
  parseHandshakeHeader,
  parseHello,
  REFUSE,
  refusalCodes,
  WELCOME,
  type Welcome,
} from '../protocol/handshake.js';
import { type CounterMemoryOptions, mapCounters } from './counter-memory.js';
import type { HandshakeStream } from './handshake-stream.js';
import { checkPeer, type Peer, type PeerRules } from './peer.js';

export interface WelcomeOptions extends PeerRules {
  contract: string;
  addon: NativeAddon | null;
  /** Why there is no addon, if so. */
  noShmReason: string | undefined;
  maxRingBytes: number;
  counters: CounterMemoryOptions;
  maxArenaBytes: number;
  timeoutMs: number;
  /** Everything of the answer that does not depend on the client. */
  answer: Omit<Welcome, 'transport' | 'reason' | 'noCountersReason' | 'features'>;
  /** Closes a descriptor that came along and is not needed. */
  closeDescriptor(descriptor: number): void;
  /** Called for a client that is welcome otherwise: throws to refuse it. */
  admit(peer: Peer): void;
}

export interface WelcomedClient {
  kind: 'client';
  hello: Hello;
  peer: Peer;
  segment: NativeSegment | null;
  counterMemory: NativeCounterMemory | null;
  /** Why there is none though the client has counters. */
  noCountersReason: string | undefined;
}

export type Welcomed = WelcomedClient | { kind: 'takeover'; peer: Peer };

/**
 * The server's half of the handshake. Resolves with what to talk over; on failure answers with REFUSE if the peer got so far as to speak the
 * protocol, destroys the stream and rejects.
 */
export async function welcome(stream: HandshakeStream, options: WelcomeOptions, lockDescriptor: number): Promise<Welcomed> {
  const descriptors: number[] = [];
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    stream.destroy();
  }, options.timeoutMs);
  timer.unref();
  let mayRefuse = false;
  try {
    const header = parseHandshakeHeader(await stream.read(HANDSHAKE_HEADER_BYTES));
    mayRefuse = true;
    if (header.message !== HELLO) throw new PillionError('ERR_PILLION_PROTOCOL', `expected HELLO, got message ${header.message}`);
    const version = chooseVersion(header);
    const hello = parseHello(await stream.read(header.bodyLength));
    const peer = checkPeer(stream.credentials(), hello.runtime, options);
    descriptors.push(...takeDescriptors(stream));
    if (hello.contract !== options.contract) {
      throw new PillionError('ERR_PILLION_CONTRACT', `this server speaks contract "${options.contract}", not "${hello.contract}"`);
    }
    if (hello.takeover === true) {
      stream.write(encodeHandshake(WELCOME, { ...options.answer, transport: 'socket', features: [] }, version), lockDescriptor);
      return { kind: 'takeover', peer };
    }
    options.admit(peer);
    checkCount(hello, descriptors);
    const { segment, reason } = mapSegment(hello, descriptors, options);
    let counterMemory: NativeCounterMemory | null = null;
    try {
      const counters = mapCounters(hello, descriptors, options.counters);
      counterMemory = counters.memory;
      const answer: Welcome = { ...options.answer, transport: segment === null ? 'socket' : 'shm', features: [] };
      if (reason !== undefined) answer.reason = reason;
      if (hello.counters !== undefined && counters.reason !== undefined) answer.noCountersReason = counters.reason;
      stream.write(encodeHandshake(WELCOME, answer, version), -1);
      return { kind: 'client', hello, peer, segment, counterMemory, noCountersReason: counters.reason };
    } catch (error) {
      segment?.close();
      counterMemory?.close();
      throw error;
    }
  } catch (error) {
    if (mayRefuse && error instanceof PillionError && refusalCodes.has(error.code)) refuse(stream, error);
    stream.destroy();
    throw isLate ? new PillionError('ERR_PILLION_TIMEOUT', `no complete HELLO within ${options.timeoutMs} ms`, { cause: error }) : error;
  } finally {
    clearTimeout(timer);
    for (const descriptor of descriptors) options.closeDescriptor(descriptor);
  }
}

function takeDescriptors(stream: HandshakeStream): number[] {
  const descriptors = stream.takeDescriptors();
  if (descriptors === null) throw new PillionError('ERR_PILLION_BAD_SEGMENT', 'the client sent more descriptors than there can be');
  return descriptors;
}

/** A single one that was not announced is closed unseen; more than were announced are a peer that plays games. */
function checkCount(hello: Hello, descriptors: number[]): void {
  const announced = (hello.transports.includes('shm') ? 1 : 0) + (hello.counters === undefined ? 0 : 1);
  if (descriptors.length > Math.max(announced, 1))
    throw new PillionError('ERR_PILLION_BAD_SEGMENT', `the client sent ${descriptors.length} descriptors, announced ${announced}`);
}

/** Takes the descriptor, the first one, out of the list if one was announced. Null with a reason: go on over the socket. */
function mapSegment(hello: Hello, descriptors: number[], options: WelcomeOptions): { segment: NativeSegment | null; reason?: string } {
  // Over the socket they are windows, for which the server would have to keep as much memory.
  if (hello.ringBytes.some((bytes) => bytes > options.maxRingBytes)) {
    throw new PillionError('ERR_PILLION_BAD_SEGMENT', `the rings are larger than the server's maxRingBytes=${options.maxRingBytes}`);
  }
  const { arenaBytes = 0 } = hello;
  if (arenaBytes > options.maxArenaBytes) {
    throw new PillionError(
      'ERR_PILLION_BAD_SEGMENT',
      `the arena of ${arenaBytes} bytes is larger than the server's maxArenaBytes=${options.maxArenaBytes}`,
    );
  }
  if (!hello.transports.includes('shm')) return { segment: null };
  const descriptor = descriptors.shift();
  if (options.addon === null) {
    if (descriptor !== undefined) options.closeDescriptor(descriptor);
    return { segment: null, reason: `the server cannot map shared memory: ${options.noShmReason}` };
  }
  if (descriptor === undefined) return { segment: null, reason: 'the descriptor of the shared memory did not arrive' };
  let segment: NativeSegment;
  try {
    segment = options.addon.Segment.map(descriptor, options.maxRingBytes, options.maxArenaBytes);
  } catch (error) {
    // A failed system call is our lack of memory, not the client's fault.
    if (typeof (error as NodeJS.ErrnoException).errno === 'number') {
      return { segment: null, reason: `the server cannot map shared memory: ${messageOf(error)}` };
    }
    throw new PillionError('ERR_PILLION_BAD_SEGMENT', messageOf(error), { cause: error });
  }
  const isAsAnnounced = segment.capacities.every((capacity, ring) => capacity === hello.ringBytes[ring]);
  if (!isAsAnnounced || (segment.arena?.byteLength ?? 0) !== arenaBytes) {
    segment.close();
    throw new PillionError('ERR_PILLION_BAD_SEGMENT', 'the rings or the arena have other sizes than announced');
  }
  return { segment };
}

function refuse(stream: HandshakeStream, { code, message }: PillionError): void {
  try {
    stream.write(encodeHandshake(REFUSE, { code, message }), -1);
  } catch {
    // It does not listen; hanging up says the same.
  }
}
