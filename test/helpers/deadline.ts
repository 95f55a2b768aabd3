import { setTimeout as sleep } from 'node:timers/promises';

/** Long enough for any machine: deadlines bound hangs, they measure nothing. */
const LONGEST_MS = 30_000;

/** The promise's outcome, or an error that says what did not happen. */
export async function inTime<T>(what: string, promise: Promise<T>, ms = LONGEST_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`did not happen within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

/** Looks again and again until the condition holds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = LONGEST_MS): Promise<void> {
  for (const end = Date.now() + ms; !(await condition()); await sleep(5)) {
    if (Date.now() > end) throw new Error(`did not happen within ${ms} ms: ${what}`);
  }
}
