import type { ExecutionContext } from 'ava';

/** Collects what would end the process, until the end of the test. */
export function takeUncaught(t: ExecutionContext): unknown[] {
  const taken: unknown[] = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => taken.push(error));
  t.teardown(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
  });
  return taken;
}
