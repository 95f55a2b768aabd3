import { basename } from 'node:path';
import type { Environment } from '../environment.js';
import type { OverheadVariant, Row } from '../result.js';

const transportLabels: Record<string, string> = {
  shm: 'pillion',
  'shm-park': 'pillion, always parks',
  'shm-spin': 'pillion, always spins',
  socket: 'pillion over its socket',
  function: 'function call',
  worker: 'worker thread',
  uds: 'Unix socket (net)',
  tcp: 'TCP (net)',
  http: 'HTTP, keep-alive',
  'http-uds': 'HTTP over Unix socket',
  fetch: 'fetch',
  undici: 'undici',
  'undici-uds': 'undici over Unix socket',
  http2: 'HTTP/2',
  grpc: 'gRPC over Unix socket',
  zeromq: 'ZeroMQ ipc://',
  'ipc-json': 'child_process IPC, JSON',
  'ipc-advanced': 'child_process IPC, advanced',
  ws: 'WebSocket',
  'file-write': 'fs.writeSync',
  'file-tail': 'fs.writeSync + tail',
  'file-append': 'appendFile + watcher',
  fifo: 'named pipe',
  'signal-file': 'file + signal',
  nats: 'NATS',
  redis: 'Redis',
};

const overheadLabels: Record<OverheadVariant, string> = { embedded: 'embedded', http: 'sidecar, HTTP', pillion: 'sidecar, pillion' };

/** In the words of a reader; a transport of somebody's own is called after its file. */
export function labelOf(transport: string): string {
  return ownEntry(transportLabels, transport) ?? basename(transport).replace(/\.[cm]?[jt]s$/, '');
}

export function variantLabel(variant: string): string {
  return ownEntry(overheadLabels, variant) ?? variant;
}

/** A name out of a result may also be `constructor`. */
export function ownEntry<T>(table: Record<string, T>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

export function isPillion(transport: string): boolean {
  return transport === 'socket' || transport.startsWith('shm');
}

/** Of a verdict: the result file is plain ASCII there. */
export function unitLabel(unit: string): string {
  return unit === 'us' ? 'µs' : unit;
}

export function formatUs(us: number | null): string {
  if (us === null) return '';
  if (us >= 10_000) return `${formatNumber(us / 1_000)} ms`;
  return `${formatNumber(us)} µs`;
}

export function formatNumber(value: number | null): string {
  if (value === null) return '';
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}

export function formatBytes(bytes: number): string {
  if (bytes >= 2 ** 20) return `${formatNumber(bytes / 2 ** 20)} MiB`;
  return bytes >= 1_024 ? `${formatNumber(bytes / 1_024)} KiB` : `${bytes} B`;
}

export function formatGap(us: number): string {
  if (us === 0) return 'none';
  return us >= 1_000 ? `${us / 1_000} ms` : `${us} µs`;
}

/** What distinguishes a row from an undisturbed closed loop of one client. */
export function conditionsOf({ gapUs, ratePerSec, clients, busyShare, cpuLoad, placement }: Row): string {
  const parts = [
    gapUs > 0 && `gap ${formatGap(gapUs)}`,
    ratePerSec > 0 && `${formatNumber(ratePerSec)}/s`,
    clients > 1 && `${clients} clients`,
    busyShare > 0 && `app busy ${Math.round(busyShare * 100)} %`,
    cpuLoad && 'busy CPUs',
    placement !== 'free' && placement,
  ];
  return parts.filter((part) => part !== false).join(', ');
}

const noteUnits: Record<string, string> = {
  doorbellsPer1000: 'doorbells per 1,000',
  mibPerSec: 'MiB/s',
  cpuMs: 'ms CPU',
  idleMs: 'ms idle',
  sleeps: 'sleeps',
  sharedKiB: 'KiB shared',
  appHeapKiB: 'KiB heap (app)',
  sidecarHeapKiB: 'KiB heap (sidecar)',
};

/** What only some rows know. */
export function notesOf({ extras, limit }: Row): string {
  const parts = Object.entries(noteUnits).flatMap(([name, unit]) => {
    const value = ownEntry(extras, name);
    return value === undefined ? [] : [`${formatNumber(value)} ${unit}`];
  });
  return [...parts, ...(limit === null ? [] : [`limit: ${limit}`])].join(', ');
}

/** Medians of the fastest and of the slowest round; empty where there was only one. */
export function spreadOf({ p50UsRounds }: Row): string {
  return formatRange(p50UsRounds);
}

/** From the smallest to the largest value of the single rounds. */
export function formatRange(values: readonly number[]): string {
  return values.length < 2 ? '' : `${formatNumber(Math.min(...values))} to ${formatNumber(Math.max(...values))}`;
}

/** What a reader has to know before comparing. */
export function formatEnvironment({ cpuModel, cpuCount, kernel, node, commit, date, loadAverage }: Environment): string {
  return `${cpuModel}, ${cpuCount} CPUs, Linux ${kernel}, Node ${node}, commit ${commit}, ${date.slice(0, 10)}, load ${formatNumber(loadAverage)}`;
}

const environmentNames: Record<string, string> = {
  cpuModel: 'CPU',
  cpuCount: 'CPUs',
  usableCpuCount: 'CPUs this could use',
  node: 'Node',
  v8: 'V8',
  nodeFlags: 'Node flags',
  memoryMiB: 'memory, MiB',
  fileSystem: 'file system of the files',
  loadAverage: 'load at the start',
  clockReadNs: 'reading the clock, ns',
  effort: 'mode',
};

/** Name and value of each entry, in words. */
export function environmentEntries(environment: object): [string, string][] {
  return Object.entries(environment).map(([key, value]) => [ownEntry(environmentNames, key) ?? key, String(value) || 'none']);
}
