/** The sidecar of the workload. Its parent, the app, asks for what it did. */

import { join } from 'node:path';
import { takeUsage } from '../rig/usage.js';
import type { Done } from './duties.js';
import { Duties } from './duties.js';
import { residentMiB } from './resident.js';
import type { SidecarVariant } from './variants.js';
import { serveDuties } from './variants.js';

export interface SidecarReport {
  done: Done;
  bytes: number;
  cpuUs: number;
  residentMiB: number;
}

const [, , variant, directory] = process.argv as unknown as [string, string, SidecarVariant, string];
const duties = new Duties(join(directory, 'sidecar.log'));
const served = await serveDuties(variant, duties, directory);

process.on('message', async () => {
  const report: SidecarReport = {
    bytes: served.bytes(),
    cpuUs: takeUsage().cpuUs,
    done: await duties.done(),
    residentMiB: residentMiB(),
  };
  process.send?.(report);
});
process.once('disconnect', () => process.exit());
process.send?.(served.address);
