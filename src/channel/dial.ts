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
  /** The memfd of the counters that `hello` announces, -1 for none. */
  counterDescriptor: number;
  timeoutMs: number;
  /** Where the handshake stands, for whoever has to clean up when it fails. */
  progress: DialProgress;
  signal: AbortSignal;
  /** Told of the connection once it is open, to decide whether it keeps the process alive. */
  onOpen(stream: HandshakeStream): void;
}

export interface DialProgress {
  /** The descriptor has left: the segment is not ours alone any more. */
  isDescriptorSent: boolean;
  /** The server may have read what is in the ring: it does so as soon as it has sent WELCOME. */
  mayHaveRead: boolean;
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
  const { progress } = options;
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
    progress.isDescriptorSent = options.descriptor >= 0;
    progress.mayHaveRead = true;
    stream.write(encodeHandshake(HELLO, options.hello), options.descriptor, options.counterDescriptor);
    const header = parseHandshakeHeader(await readAnswer(stream, progress));
    const body = await stream.read(header.bodyLength);
    if (header.message === REFUSE) {
      progress.mayHaveRead = false;
      throw refusalError(parseRefusal(body));
    }
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
      progress.mayHaveRead = true;
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

/** The header of the answer. A server that hung up without a byte has not sent WELCOME, so it has read nothing. */
async function readAnswer(stream: HandshakeStream, progress: DialProgress): Promise<Buffer> {
  try {
    return await stream.read(HANDSHAKE_HEADER_BYTES);
  } catch (error) {
    if ((error as PillionError).code === 'ERR_PILLION_PEER_DIED') progress.mayHaveRead = false;
    throw error;
  }
}

function refusalError({ code, message }: { code: string; message: string }): PillionError {
  const known = (refusalCodes.has(code) ? code : 'ERR_PILLION_PROTOCOL') as PillionErrorCode;
  return new PillionError(known, `the server refused the connection: ${message}`);
}
