import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, platform, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';

/** From `dist/bench/`, where this file runs, to the folder of package.json. */
export const packageRoot = join(import.meta.dirname, '..', '..');

export interface Environment {
  date: string;
  commit: string;
  node: string;
  v8: string;
  nodeFlags: string[];
  platform: string;
  kernel: string;
  cpuModel: string;
  cpuCount: number;
  usableCpuCount: number;
  governor: string;
  virtualisation: string;
  memoryMiB: number;
  /** Of the folder where sockets and files of the measurement lie. */
  fileSystem: string;
  pinning: string;
  loadAverage: number;
  /** Between two adjacent clock readings; contained in every sample, visible only in those of a single operation. */
  clockReadNs: number;
}

/** Everything a reader needs to judge whether two results may be compared. */
export function describeEnvironment(): Environment {
  return {
    date: new Date().toISOString(),
    commit: commit(),
    node: process.version,
    v8: process.versions.v8,
    nodeFlags: [...process.execArgv, ...(process.env['NODE_OPTIONS']?.split(' ') ?? [])],
    platform: `${platform()}-${arch()}`,
    kernel: release(),
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown',
    cpuCount: cpus().length,
    usableCpuCount: availableParallelism(),
    governor: firstLine('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor') ?? 'not exposed',
    virtualisation: virtualisation(),
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    fileSystem: fileSystem(tmpdir()),
    pinning: 'none, except where a row names a placement',
    loadAverage: loadavg()[0] ?? 0,
    clockReadNs: clockReadNs(),
  };
}

/** Of a checkout; an installed package lies in somebody else's. */
function commit(): string {
  try {
    if (!existsSync(join(packageRoot, '.git'))) return `pillion ${JSON.parse(read(join(packageRoot, 'package.json'))).version}`;
    const command = ['describe', '--always', '--dirty', '--abbrev=12'];
    return execFileSync('git', command, { cwd: packageRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

function virtualisation(): string {
  const traces = [
    firstLine('/sys/class/dmi/id/product_name'),
    firstLine('/sys/hypervisor/type'),
    /^flags.*\bhypervisor\b/m.test(read('/proc/cpuinfo')) ? 'hypervisor flag in cpuinfo' : undefined,
  ];
  return traces.filter((trace) => trace !== undefined).join(', ') || 'no trace of any';
}

/** The magic numbers of statfs(2) for the file systems that usually carry a temporary folder. */
const fileSystemNames = new Map([
  [0xef53, 'ext4'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlayfs'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
]);

function fileSystem(folder: string): string {
  const { type } = statfsSync(folder);
  return fileSystemNames.get(type) ?? `0x${type.toString(16)}`;
}

function clockReadNs(): number {
  const readings = Array.from({ length: 10_001 }, () => performance.now());
  const gaps = readings.slice(1).map((reading, index) => reading - (readings[index] ?? reading));
  return Math.round((gaps.toSorted((a, b) => a - b)[gaps.length >> 1] ?? 0) * 1e6);
}

function firstLine(path: string): string | undefined {
  return read(path).split('\n')[0]?.trim() || undefined;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
