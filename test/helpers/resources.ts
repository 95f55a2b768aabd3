import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** What a process holds that a connection could leave behind. */
export interface Resources {
  descriptors: number;
  sockets: number;
  memfds: number;
  mappings: number;
}

const ours = /memfd:pillion/;

export function resources(pid: number | 'self' = 'self'): Resources {
  const targets = readdirSync(`/proc/${pid}/fd`).map((name) => linkOf(`/proc/${pid}/fd/${name}`));
  const open = targets.filter((target) => target !== null);
  return {
    descriptors: open.length,
    sockets: open.filter((target) => target.startsWith('socket:')).length,
    memfds: open.filter((target) => ours.test(target)).length,
    mappings: readFileSync(`/proc/${pid}/maps`, 'utf8')
      .split('\n')
      .filter((line) => ours.test(line)).length,
  };
}

// The directory's own descriptor is closed by the time its link is read.
function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
