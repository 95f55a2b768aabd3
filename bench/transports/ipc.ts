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
  const peer = new PeerLink();
  const exited = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`the child process ended (${signal ?? `exit code ${code}`})`);
  });
  exited.catch((error) => peer.fail(error));
  // A message to a process that has ended is reported here.
  child.on('error', (error) => peer.fail(error));
  await Promise.race([once(child, 'message'), exited]);
  child.on('message', (value) => peer.receive(value));
  const wire = {
    send: (message: object) => void child.send(message),
    async close() {
      process.off('exit', killIt);
      child.kill('SIGKILL');
      await exited.catch(() => {});
    },
  };
  return peer.link(wire, serialization === 'json' ? base64 : asBytes);
}
