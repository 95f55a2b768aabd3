import { PillionError, type PillionErrorCode } from '../errors.js';
import type { NativeAddon } from '../native.js';
import {
  chooseVersion,
  encodeHandshake,
  HANDSHAKE_HEADER_BYTES,
  HELLO,
  type Hello,
  parseHandshakeHeader,
  parseRefusal,
  parseWelcome,
  REFUSE,
  refusalCodes,
  WELCOME,
  type Welcome,
} from '../protocol/handshake.js';
import { type HandshakeStream, openStream } from './handshake-stream.js';
import { checkPeer, type Peer, type PeerRules } from './peer.js';

export interface DialOptions extends PeerRules {
  path: string;
  addon: NativeAddon | null;
  hello: Hello;
  /** The memfd to offer, -1 for none. */
  descriptor: number;
  timeoutMs: number;
  /** Called when the descriptor is about to leave: from now on the segment is not ours alone. */
  onDescriptorSent(): void;
  signal: AbortSignal;
  /** Told of the connection once it is open, to decide whether it keeps the process alive. */
  onOpen(stream: HandshakeStream): void;
}

export interface Dialed {
  stream: HandshakeStream;
  welcome: Welcome;
  peer: Peer;
}

/** The client's half of the handshake. Rejects with a PillionError, or with the system's error if there is nobody to connect to. */
export async function dial(options: DialOptions): Promise<Dialed> {
  const stream = await openStream(options.path, options.addon);
  options.onOpen(stream);
  const abort = (): void => stream.destroy();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    stream.destroy();
  }, options.timeoutMs);
  timer.unref();
  options.signal.addEventListener('abort', abort);
  try {
    // Before anything is sent: an impostor on the path must not get the memory.
    const peer = checkPeer(stream.credentials(), '', options);
    if (options.descriptor >= 0) options.onDescriptorSent();
    stream.write(encodeHandshake(HELLO, options.hello), options.descriptor);
    const header = parseHandshakeHeader(await stream.read(HANDSHAKE_HEADER_BYTES));
    const body = await stream.read(header.bodyLength);
    if (header.message === REFUSE) throw refusalError(parseRefusal(body));
    if (header.message !== WELCOME) throw new PillionError('ERR_PILLION_PROTOCOL', `the server answered with message ${header.message}`);
    chooseVersion(header);
    const welcome = parseWelcome(body);
    if (welcome.contract !== options.hello.contract) {
      throw new PillionError('ERR_PILLION_CONTRACT', `the server speaks contract "${welcome.contract}", not "${options.hello.contract}"`);
    }
    if (welcome.transport === 'shm' && options.descriptor < 0) {
      throw new PillionError('ERR_PILLION_PROTOCOL', 'the server chose shared memory that was not offered');
    }
    return { stream, welcome, peer: { ...peer, runtime: welcome.runtime } };
  } catch (error) {
    stream.destroy();
    if (isLate) {
      throw new PillionError(
        'ERR_PILLION_TIMEOUT',
        `the server at ${options.path} accepted, but did not answer within ${options.timeoutMs} ms`,
        {
          cause: error,
        },
      );
    }
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener('abort', abort);
  }
}

function refusalError({ code, message }: { code: string; message: string }): PillionError {
  const known = (refusalCodes.has(code) ? code : 'ERR_PILLION_PROTOCOL') as PillionErrorCode;
  return new PillionError(known, `the server refused the connection: ${message}`);
}
