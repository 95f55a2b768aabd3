import { randomUUID } from 'node:crypto';
import { PillionError } from '../errors.js';
import type { NativeAddon } from '../native.js';
import {
  chooseVersion,
  encodeHandshake,
  HANDSHAKE_HEADER_BYTES,
  HELLO,
  parseHandshakeHeader,
  parseRefusal,
  REFUSE,
  WELCOME,
} from '../protocol/handshake.js';
import { MIN_RING_BYTES } from '../ring/layout.js';
import { type HandshakeStream, openStream } from './handshake-stream.js';
import { checkPeer } from './peer.js';

/** A running server that is ready to give up its path. */
export interface Predecessor {
  /** Descriptor that holds its lock; -1 if it has none. Belongs to the caller. */
  lock: number;
  /** The successor listens: the predecessor may leave. */
  confirm(): void;
  close(): void;
}

/** It died while we asked: then the path is nobody's, and the lock, which died with it, is there to be taken. */
function isDeath(error: unknown): boolean {
  const { code, message } = error as PillionError;
  return code === 'ERR_PILLION_PEER_DIED' || (code === 'ERR_PILLION_SYSTEM' && /EPIPE|ECONNRESET|hung up/.test(message));
}

/** If it has died meanwhile, there is nobody to be told, and path and lock are ours all the same. */
function confirm(stream: HandshakeStream): void {
  try {
    stream.write(Buffer.from([1]), -1);
  } catch (error) {
    if (!isDeath(error)) throw error;
  }
}

/** Asks the server that owns the path to hand it over (docs/protocol.md, section 7). Null if nobody is there. */
export async function requestTakeover(
  path: string,
  contract: string,
  addon: NativeAddon | null,
  timeoutMs: number,
): Promise<Predecessor | null> {
  let stream: HandshakeStream;
  try {
    stream = await openStream(path, addon);
  } catch {
    return null;
  }
  const timer = setTimeout(() => stream.destroy(), timeoutMs);
  try {
    checkPeer(stream.credentials(), '', {});
    stream.write(
      encodeHandshake(HELLO, {
        contract,
        clientId: randomUUID(),
        names: [],
        transports: ['socket'],
        ringBytes: [MIN_RING_BYTES, MIN_RING_BYTES],
        maxMessageBytes: 0,
        features: [],
        pid: process.pid,
        runtime: `node ${process.versions.node}`,
        takeover: true,
      }),
      -1,
    );
    const header = parseHandshakeHeader(await stream.read(HANDSHAKE_HEADER_BYTES));
    const body = await stream.read(header.bodyLength);
    if (header.message === REFUSE)
      throw new PillionError('ERR_PILLION_FORBIDDEN', `the running server refuses the takeover: ${parseRefusal(body).message}`);
    if (header.message !== WELCOME)
      throw new PillionError('ERR_PILLION_PROTOCOL', `the running server answered with message ${header.message}`);
    chooseVersion(header);
    const descriptors = stream.takeDescriptors();
    if (descriptors === null) throw new PillionError('ERR_PILLION_PROTOCOL', 'the running server sent too many descriptors');
    const [lock = -1, ...surplus] = descriptors;
    for (const descriptor of surplus) addon?.closeDescriptor(descriptor);
    return { lock, confirm: () => confirm(stream), close: () => stream.destroy() };
  } catch (error) {
    stream.destroy();
    if (isDeath(error)) return null;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
