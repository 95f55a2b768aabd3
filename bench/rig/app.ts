/** The app process of a measurement: starts its sidecar, connects, and measures when the suite says so. */

import { setTimeout as sleep } from 'node:timers/promises';
import { loadTransport } from '../transports/index.js';
import type { Link, Place } from '../transports/transport.js';
import { Child } from './child.js';
import { holdApart, usableCpus } from './cpus.js';
import { Crowd } from './crowd.js';
import type { Lane } from './lane.js';
import { answerParent } from './questions.js';
import { Rig } from './rig.js';
import { uploadItemBytes } from './uploads.js';

const startTimeoutMs = 15_000;
/** The exit of a process is reported later than the end of its connections. */
const deathNoticeMs = 200;

let peer: Child | undefined;
let links: Link[] = [];
let crowd: Crowd | undefined;
let rig: Rig | undefined;

answerParent({
  async open(lane) {
    const transport = await loadTransport(lane.transport);
    const place = placeOf(lane);
    let address = '';
    if (transport.serve) {
      peer = new Child('sidecar', new URL('./echo-peer.js', import.meta.url), { cpu: sidecarCpu(lane) });
      address = await peer.ask('serve', { transport: lane.transport, place }, startTimeoutMs);
    }
    const connect = () => transport.connect(place, address);
    links = await unlessPeerDies(Promise.all(Array.from({ length: lane.clients }, connect)));
    if (lane.idleClients > 0) crowd = await unlessPeerDies(Crowd.gather(lane.transport, place, address, lane.idleClients));
    // Who measures by itself starts its own processes, and places them itself.
    if (lane.placement === 'held' && !links[0]?.measure) holdApart();
    rig = new Rig(lane, links, { peer, crowd, openAnother: connect });
    return peer?.pid ?? null;
  },
  async round(plan) {
    if (!rig) throw new Error('nothing is open');
    return unlessPeerDies(rig.round(plan));
  },
  async close() {
    await Promise.all(links.map((link) => link.close()));
    await crowd?.end();
    await peer?.end();
    setImmediate(() => process.exit());
    return null;
  },
});

function placeOf(lane: Lane): Place {
  const { directory, payloadBytes, pattern, clients, ratePerSec, gapUs } = lane;
  const oneWay = ['event', 'send', 'upload', 'frame'].includes(pattern);
  const itemBytes = pattern === 'beside-upload' ? uploadItemBytes : payloadBytes;
  return { directory, payloadBytes, itemBytes, pattern, oneWay, clients, openLoop: ratePerSec > 0, gapUs };
}

/** This process was already pinned by whoever started it. */
function sidecarCpu({ placement }: Lane): number | undefined {
  if (placement === 'free' || placement === 'held') return undefined;
  const [own, other] = usableCpus(process.ppid);
  return placement === 'together' ? own : other;
}

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
