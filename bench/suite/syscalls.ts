import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * perf and strace say nothing when they have attached; without them having done so, a count would be too low. It takes longer where they are
 * read from disk for the first time, and on a busy machine.
 */
let attachMs = 250;
const longestAttachMs = 2_000;

interface Counter {
  command: string;
  args(pids: readonly number[]): string[];
  /** From what it has written to stderr. */
  parse(text: string): number | undefined;
}

const counters: readonly Counter[] = [
  {
    // Counts in the kernel: the processes go on at nearly full speed.
    command: 'perf',
    args: (pids) => ['stat', '-x', ',', '-e', 'raw_syscalls:sys_enter', '-p', pids.join(',')],
    parse: (text) => number(/^(\d+),.*raw_syscalls:sys_enter/m.exec(text)?.[1]),
  },
  {
    command: 'strace',
    args: (pids) => ['-f', '-c', ...pids.flatMap((pid) => ['-p', String(pid)])],
    parse: (text) => number(/^\s*100\.00\s+[\d.]+\s+(?:\d+\s+)?(\d+)(?:\s+\d+)?\s+total$/m.exec(text)?.[1]),
  },
];

/** Undefined until it is known; null: this machine has none that may watch other processes. */
let usable: Counter | null | undefined;

/** How many system calls these processes make while `work` runs; undefined where nothing can count them. */
export async function countSyscalls<T>(pids: readonly number[], work: () => Promise<T>): Promise<{ result: T; calls: number } | undefined> {
  if (usable === undefined) usable = await findUsable();
  return usable ? countWith(usable, pids, work) : undefined;
}

const trialCalls = 200;

/** Tried on this process, which can be made to do something: of one that only waits, nothing is counted. */
async function findUsable(): Promise<Counter | null> {
  for (; attachMs <= longestAttachMs; attachMs *= 2) {
    for (const counter of counters) {
      const counted = await countWith(counter, [process.pid], async () => {
        for (let i = 0; i < trialCalls; i++) statSync('/');
      });
      if (counted && counted.calls >= trialCalls) return counter;
    }
  }
  return null;
}

async function countWith<T>(
  counter: Counter,
  pids: readonly number[],
  work: () => Promise<T>,
): Promise<{ result: T; calls: number } | undefined> {
  const watcher = spawn(counter.command, counter.args(pids), { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  watcher.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const ended = once(watcher, 'close').catch(() => {});
  await Promise.race([sleep(attachMs), ended]);
  try {
    const result = await work();
    watcher.kill('SIGINT');
    await ended;
    const calls = counter.parse(text);
    return calls === undefined ? undefined : { result, calls };
  } finally {
    watcher.kill('SIGKILL');
  }
}

function number(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits);
}
