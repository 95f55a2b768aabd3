/** The sidecar process of a measurement. Its parent says in its first question which transport to serve. */

import { loadTransport } from '../transports/index.js';
import type { Service } from '../transports/transport.js';
import type { PeerReport } from './questions.js';
import { answerParent } from './questions.js';
import { Tally } from './tally.js';
import { liveHeapBytes } from './usage.js';

let tally: Tally;
let service: Service | undefined;

answerParent({
  async serve({ transport: name, place }) {
    const transport = await loadTransport(name);
    tally = new Tally(place);
    service = await transport.serve?.(place, tally);
    return service?.address ?? '';
  },
  async report(): Promise<PeerReport> {
    await service?.collect?.();
    const report = tally.report();
    return { ...report, cpuUs: report.cpuUs + (service?.helperCpuUs?.() ?? 0) };
  },
  heap: liveHeapBytes,
  async close() {
    await service?.close();
    // After the answer has left: what a transport forgot to close must not keep this process.
    setImmediate(() => process.disconnect());
    return null;
  },
});
