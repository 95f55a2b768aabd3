import { basename } from 'node:path';
import type { Row } from '../result.js';

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

const colours: Record<string, string> = {
  shm: '#d9480f',
  'shm-park': '#f08c00',
  'shm-spin': '#c2255c',
  socket: '#a07000',
  function: '#868e96',
  worker: '#5c7cfa',
  uds: '#1971c2',
  tcp: '#4dabf7',
  http: '#2f9e44',
  'http-uds': '#66a80f',
  fetch: '#0c8599',
  undici: '#099268',
  'undici-uds': '#38d9a9',
  http2: '#5f3dc4',
  grpc: '#7048e8',
  zeromq: '#ae3ec9',
  'ipc-json': '#3b5bdb',
  'ipc-advanced': '#748ffc',
  ws: '#15aabf',
  'file-write': '#8d6e63',
  'file-tail': '#a1887f',
  'file-append': '#6d4c41',
  fifo: '#9e9d24',
  'signal-file': '#b08968',
  nats: '#1098ad',
  redis: '#c92a2a',
};
const otherColours = ['#495057', '#7950f2', '#12b886', '#fab005', '#e64980'];

/** In the words of a reader; a transport of somebody's own is called after its file. */
export function labelOf(transport: string): string {
  return transportLabels[transport] ?? basename(transport).replace(/\.[cm]?[jt]s$/, '');
}

/** The same in all charts. */
export function colourOf(transport: string): string {
  const known = colours[transport];
  if (known) return known;
  const hash = [...transport].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) >>> 0, 7);
  return otherColours[hash % otherColours.length] as string;
}

export function isPillion(transport: string): boolean {
  return transport === 'socket' || transport.startsWith('shm');
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
