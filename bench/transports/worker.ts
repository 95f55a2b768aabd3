import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Unavailable } from '../rig/questions.js';
import { asBytes, PeerLink } from './peer-protocol.js';
import type { Link, Place, Transport } from './transport.js';

/**
 * `postMessage` to a worker thread: no sidecar, because a thread shares the app's memory, limits and crashes. It is here as the lower bound of
 * what messages between two event loops cost. CPU time is that of the one process.
 */
export const worker: Transport = {
  async connect(place: Place): Promise<Link> {
    if (place.clients > 1) throw new Unavailable('one worker has one port');
    const thread = new Worker(new URL('./worker-peer.js', import.meta.url), { workerData: place });
    await once(thread, 'online');
    const peer = new PeerLink();
    thread.on('message', (value) => peer.receive(value));
    thread.on('error', (error) => peer.fail(error));
    thread.on('exit', () => peer.fail(new Error('the thread ended')));
    const wire = {
      send: (message: object) => thread.postMessage(message),
      close: async () => void (await thread.terminate()),
    };
    return peer.link(wire, asBytes);
  },
};
