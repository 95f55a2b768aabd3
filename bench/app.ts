/** The app process of a measurement: starts its sidecar, connects, and measures when the suite says so. */

import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from './child.js';
import { answerParent } from './questions.js';
import { Rig } from './rig.js';
import { loadTransport } from './transports/index.js';
import type { Link } from './transports/transport.js';

const startTimeoutMs = 15_000;
/** The exit of a process is reported later than the end of its connections. */
const deathNoticeMs = 200;

let peer: Child | undefined;
let link: Link | undefined;
let rig: Rig | undefined;

answerParent({
  async open(lane) {
    const transport = await loadTransport(lane.transport);
    const place = { directory: lane.directory, payloadBytes: lane.payloadBytes, oneWay: lane.pattern === 'stream' };
    let address = '';
    if (transport.serve) {
      peer = new Child('sidecar', new URL('./echo-peer.js', import.meta.url));
      address = await peer.ask('serve', { transport: lane.transport, place }, startTimeoutMs);
    }
    const connect = () => transport.connect(place, address);
    link = await unlessPeerDies(connect());
    rig = new Rig(lane, link, peer, connect);
    return peer?.pid ?? null;
  },
  async round(plan) {
    if (!rig) throw new Error('nothing is open');
    return unlessPeerDies(rig.round(plan));
  },
  async close() {
    await link?.close();
    await peer?.end();
    setImmediate(() => process.exit());
    return null;
  },
});

/** What waits for a dead sidecar would wait for ever; and where its death shows as another error, it is the cause. */
async function unlessPeerDies<T>(work: Promise<T>): Promise<T> {
  if (!peer) return work;
  const { died } = peer;
  try {
    return await Promise.race([work, died]);
  } catch (error) {
    await Promise.race([died, sleep(deathNoticeMs)]);
    throw error;
  }
}
