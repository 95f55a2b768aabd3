import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Unavailable } from '../rig/questions.js';
import { asBytes, base64, PeerLink } from './peer-protocol.js';
import type { Link, Place, Transport } from './transport.js';

/** The channel that `child_process.fork` makes. It binds app and sidecar as parent and child, so the app starts its second process itself. */
export const ipcJson: Transport = { connect: (place) => open(place, 'json') };
export const ipcAdvanced: Transport = { connect: (place) => open(place, 'advanced') };

async function open(place: Place, serialization: 'json' | 'advanced'): Promise<Link> {
  if (place.clients > 1) throw new Unavailable('a child process has one channel to its parent');
  const child = fork(new URL('./ipc-peer.js', import.meta.url), [serialization, JSON.stringify(place)], { serialization });
  const killIt = () => child.kill('SIGKILL');
  process.once('exit', killIt);
  await once(child, 'message');
  const peer = new PeerLink();
  child.on('message', (value) => peer.receive(value));
  child.on('exit', () => peer.fail(new Error('the child process ended')));
  const wire = {
    send: (message: object) => void child.send(message),
    async close() {
      process.off('exit', killIt);
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
  return peer.link(wire, serialization === 'json' ? base64 : asBytes);
}
