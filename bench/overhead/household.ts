import { join } from 'node:path';
import type { OverheadVariant } from '../result.js';
import type { Access, SidecarVariant } from './access.js';
import { loadDoor } from './access.js';
import type { Done } from './duties.js';
import { Duties } from './duties.js';
import { Partner } from './partner.js';
import type { SidecarTalk, Spent } from './sidecar.js';

/** Whoever does the app's duties, and how the app reaches it. */
export interface Household {
  access: Access;
  spent(): Promise<Spent>;
  done(): Promise<Done>;
  /** That of the sidecar, if there is one and it died. */
  causeOfDeath(): Promise<string | undefined>;
}

const answerTimeoutMs = 5_000;
/** An end-of-file over a socket is faster than news of a child's end. */
const deathNewsMs = 300;

export function openHousehold(variant: OverheadVariant, directory: string): Promise<Household> {
  return variant === 'embedded' ? embed(directory) : openSidecar(variant, directory);
}

/** CPU time and memory are the app's own then. */
async function embed(directory: string): Promise<Household> {
  const duties = new Duties(join(directory, 'app.log'));
  const access: Access = {
    verify: (token) => duties.verify(token),
    log: (entry) => duties.log(entry),
    measure: (sample) => duties.measure(sample),
    flush: () => duties.flush(),
    sentBytes: () => 0,
  };
  return {
    access,
    spent: async () => ({ ...duties.progress, cpuUs: 0, socketBytes: 0, residentMiB: 0 }),
    done: () => duties.done(),
    causeOfDeath: async () => undefined,
  };
}

async function openSidecar(variant: SidecarVariant, directory: string): Promise<Household> {
  const sidecar = new Partner<SidecarTalk>('sidecar', new URL('./sidecar.js', import.meta.url), [variant, directory]);
  const door = await loadDoor(variant);
  return {
    access: await door.open(await sidecar.ask('open', null, answerTimeoutMs)),
    spent: () => sidecar.ask('spent', null, answerTimeoutMs),
    done: () => sidecar.ask('done', null, answerTimeoutMs),
    causeOfDeath: () => sidecar.causeOfDeath(deathNewsMs),
  };
}
