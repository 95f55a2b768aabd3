import { PillionError } from '../errors.js';
import type { Credentials } from '../native.js';

/** Who is at the other end of a connection. `uid`, `gid` and `pid` come from the kernel; they are undefined where it cannot be asked. */
export interface Peer {
  readonly pid: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** What the peer says of itself, e.g. "node 20.20.2". */
  readonly runtime: string;
}

/** Which peers are welcome. Default: processes of the same user, and root. */
export interface PeerRules {
  /** Further users and groups that may connect. */
  allow?: { uids?: readonly number[]; gids?: readonly number[] };
  /** Decides in place of the rules above. Must not throw; a throw refuses. */
  authorize?: (peer: Peer) => boolean;
}

/** What the kernel reports for a user that does not exist in this user namespace. */
const OVERFLOW_ID = 65534;

/** Throws ERR_PILLION_FORBIDDEN unless the peer may connect. */
export function checkPeer(credentials: Credentials | undefined, runtime: string, rules: PeerRules): Peer {
  const peer: Peer = { pid: credentials?.pid, uid: credentials?.uid, gid: credentials?.gid, runtime };
  if (!isAllowed(peer, rules)) {
    throw new PillionError(
      'ERR_PILLION_FORBIDDEN',
      `a process with uid=${peer.uid} gid=${peer.gid} may not connect; allow it with the option "allow" or "authorize"`,
    );
  }
  return peer;
}

function isAllowed(peer: Peer, { allow, authorize }: PeerRules): boolean {
  if (authorize !== undefined) {
    try {
      return authorize(peer) === true;
    } catch {
      return false;
    }
  }
  // Without the addon nobody can be asked; the mode of the socket's directory is what protects then.
  if (peer.uid === undefined || peer.gid === undefined) return allow === undefined;
  if (allow?.uids?.includes(peer.uid) || allow?.gids?.includes(peer.gid)) return true;
  if (peer.uid === OVERFLOW_ID) return false;
  return peer.uid === 0 || peer.uid === process.getuid?.();
}
