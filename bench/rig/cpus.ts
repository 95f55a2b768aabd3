import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { Unavailable } from './questions.js';

/** The numbers of the CPUs that a process may use. */
export function usableCpus(pid: number = process.pid): number[] {
  const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/**
 * Holds this process on one CPU and all that it has started on another: their main threads. The threads that collect garbage run where the kernel puts them, as they do
 * elsewhere: on the CPU of a main thread that never sleeps they would wait for milliseconds, and it for them. Done when everything runs, because
 * Node and pillion ask at their start how many CPUs they may use: this decides where they are, and not how they wait.
 */
export function holdApart(): void {
  const [own, other] = usableCpus();
  if (own === undefined || other === undefined) throw new Unavailable('only one CPU may be used');
  const started = descendantsOf(process.pid);
  for (const pid of started) hold(pid, other);
  hold(process.pid, own);
}

function hold(pid: number, cpu: number): void {
  try {
    execFileSync('taskset', ['--cpu-list', '--pid', String(cpu), String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    throw new Unavailable(`taskset (util-linux) can't hold a process on one CPU: ${(error as Error).message.trim().split('\n').at(-1)}`);
  }
}

function descendantsOf(pid: number): number[] {
  const children = readdirSync('/proc')
    .map(Number)
    .filter((each) => each > 0 && parentOf(each) === pid);
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}
