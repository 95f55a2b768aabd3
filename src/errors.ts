/**
 * Every error that pillion makes carries one of these codes. Match on `code`, never on the message.
 *
 * | code | meaning |
 * |---|---|
 * | `ERR_PILLION_INVALID_ARGUMENT` | an option or argument is of the wrong type or out of range |
 * | `ERR_PILLION_UNKNOWN_NAME` | the contract, or the peer's contract, has no such event or method |
 * | `ERR_PILLION_TOO_LARGE` | the payload exceeds a limit; the message names the limit and how to raise it |
 * | `ERR_PILLION_ENCODE` / `ERR_PILLION_DECODE` | a value cannot be put into, or taken from, its codec's form |
 * | `ERR_PILLION_VALIDATION` | a value is not what the contract's schema says; the message names where in it |
 * | `ERR_PILLION_TIMEOUT` | no answer in time |
 * | `ERR_PILLION_PEER_DIED` | the sidecar ended while the call was in flight; whether it was carried out is unknown |
 * | `ERR_PILLION_NOT_CONNECTED` | there is no sidecar, and the operation cannot wait for one |
 * | `ERR_PILLION_CLOSED` | the client or server was closed |
 * | `ERR_PILLION_CLAIM_OVER` | the claim or the event was committed, aborted or done before |
 * | `ERR_PILLION_BUSY` | a limit on calls, streams, connections or buffered bytes is reached |
 * | `ERR_PILLION_SLOW_CLIENT` | a client did not read a broadcast whose definition says that such clients are disconnected |
 * | `ERR_PILLION_COUNTERS_FULL` | the memory of the counters has no room for another name or set of labels; those that exist go on |
 * | `ERR_PILLION_HANDLER` | the handler threw something without a code of its own |
 * | `ERR_PILLION_PROTOCOL` | the peer broke the protocol; the connection was closed |
 * | `ERR_PILLION_VERSION` / `ERR_PILLION_CONTRACT` | the two sides have no protocol version in common / speak different contracts |
 * | `ERR_PILLION_FORBIDDEN` | the peer's credentials are not allowed |
 * | `ERR_PILLION_BAD_SEGMENT` | the shared memory offered by the client fails the checks |
 * | `ERR_PILLION_ADDRESS_IN_USE` | another server owns the path |
 * | `ERR_PILLION_SOCKET_PATH` | the socket path or its directory cannot be used; the message says why |
 * | `ERR_PILLION_NATIVE_MISSING` | the native addon could not be loaded |
 * | `ERR_PILLION_SYSTEM` | a system call failed; see `cause` |
 */
export type PillionErrorCode =
  | 'ERR_PILLION_INVALID_ARGUMENT'
  | 'ERR_PILLION_UNKNOWN_NAME'
  | 'ERR_PILLION_TOO_LARGE'
  | 'ERR_PILLION_ENCODE'
  | 'ERR_PILLION_DECODE'
  | 'ERR_PILLION_VALIDATION'
  | 'ERR_PILLION_TIMEOUT'
  | 'ERR_PILLION_PEER_DIED'
  | 'ERR_PILLION_NOT_CONNECTED'
  | 'ERR_PILLION_CLOSED'
  | 'ERR_PILLION_CLAIM_OVER'
  | 'ERR_PILLION_BUSY'
  | 'ERR_PILLION_SLOW_CLIENT'
  | 'ERR_PILLION_COUNTERS_FULL'
  | 'ERR_PILLION_HANDLER'
  | 'ERR_PILLION_PROTOCOL'
  | 'ERR_PILLION_VERSION'
  | 'ERR_PILLION_CONTRACT'
  | 'ERR_PILLION_FORBIDDEN'
  | 'ERR_PILLION_BAD_SEGMENT'
  | 'ERR_PILLION_ADDRESS_IN_USE'
  | 'ERR_PILLION_SOCKET_PATH'
  | 'ERR_PILLION_NATIVE_MISSING'
  | 'ERR_PILLION_SYSTEM';

/** A failure of pillion itself. `cause` holds the underlying error where there is one. */
export class PillionError extends Error {
  readonly code: PillionErrorCode;

  constructor(code: PillionErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PillionError';
    this.code = code;
  }
}

/**
 * An error that the handler at the other side raised. `code` is the handler's own (`ERR_PILLION_HANDLER` if its error had none),
 * `remoteName` the name of its class, `remoteStack` its stack if the server was told to expose stacks.
 */
export class RemoteError extends Error {
  readonly code: string;
  readonly remoteName: string;
  readonly remoteStack: string | undefined;

  constructor(code: string, message: string, remoteName: string, remoteStack?: string) {
    super(message);
    this.name = 'RemoteError';
    this.code = code;
    this.remoteName = remoteName;
    this.remoteStack = remoteStack;
  }
}

/** The peer broke a rule of the protocol. The connection it came over is closed for good. */
export class ProtocolError extends PillionError {
  constructor(message: string) {
    super('ERR_PILLION_PROTOCOL', message);
    this.name = 'ProtocolError';
  }
}

/** The message of anything that may have been thrown. Never throws itself, whatever getters and conversions that has. */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'something without a message was thrown';
  }
}
