import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { until } from './deadline.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Collects garbage until the condition holds. */
export async function collect(what: string, condition: () => boolean): Promise<void> {
  await until(what, async () => {
    gc();
    await sleep(5);
    return condition();
  });
}
