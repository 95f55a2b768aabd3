/** The sidecar of the workload. Its parent, the app, asks for what it did. */

import { join } from 'node:path';
import { takeUsage } from '../rig/usage.js';
import type { SidecarVariant } from './access.js';
import { loadDoor } from './access.js';
import { answerParent } from './answers.js';
import type { Done } from './duties.js';
import { Duties } from './duties.js';
import { residentMiB } from './resident.js';

/** What the duties have cost their owner so far. */
export interface Spent {
  /** Tokens, log lines and samples taken, and whether the log's lines have left the process. */
  taken: number;
  isWritten: boolean;
  cpuUs: number;
  socketBytes: number;
  residentMiB: number;
}

export type SidecarTalk = {
  /** The answer is the address. */
  open: [null, string];
  spent: [null, Spent];
  /** Costs time of its own; so ask when nothing is measured. */
  done: [null, Done];
};

const [, , variant, directory] = process.argv as unknown as [string, string, SidecarVariant, string];
const duties = new Duties(join(directory, 'sidecar.log'));
const served = (await loadDoor(variant)).serve(duties, directory);

answerParent<SidecarTalk>({
  open: async () => (await served).address,
  spent: async () => ({
    ...duties.progress,
    cpuUs: takeUsage().cpuUs,
    socketBytes: (await served).socketBytes(),
    residentMiB: residentMiB(),
  }),
  done: () => duties.done(),
});
