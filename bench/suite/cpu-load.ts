import { availableParallelism } from 'node:os';
import { Child } from '../rig/child.js';

/** One process per CPU that wants all of it, as busy neighbours do. Returns how to end them. */
export function startCpuLoad(): () => Promise<void> {
  const hungry = Array.from({ length: availableParallelism() }, () => new Child('load', new URL('./spinner.js', import.meta.url)));
  return async () => void (await Promise.all(hungry.map((child) => child.end())));
}
