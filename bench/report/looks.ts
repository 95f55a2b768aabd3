import { isPillion, ownEntry } from './labels.js';

/** How a transport is drawn, the same in all charts. */
export interface Look {
  colour: string;
  symbol: string;
}

/** ECharts fills its empty symbols with white on every background, so that further shapes are paths. */
const hexagon = 'path://M3 0h4l3 5l-3 5h-4l-3-5z';
const plus = 'path://M4 0h2v4h4v2h-4v4h-2v-4h-4v-2h4z';
const pointingDown = 'path://M0 0h10l-5 9z';
const cross = 'path://M1 0L5 4L9 0L10 1L6 5L10 9L9 10L5 6L1 10L0 9L4 5L0 1z';

/** Contrast of each is at least 3 against the light and against the dark card. pillion has the warm ones. */
const looks: Record<string, [colour: string, symbol: string]> = {
  shm: ['#d9480f', 'circle'],
  'shm-park': ['#c27803', 'roundRect'],
  'shm-spin': ['#d6336c', 'triangle'],
  'shm-copy': ['#b4541a', 'diamond'],
  socket: ['#a07000', 'diamond'],
  function: ['#7d858c', hexagon],
  worker: ['#5c7cfa', plus],
  uds: ['#1c7ed6', 'triangle'],
  tcp: ['#3d8bd4', pointingDown],
  http: ['#2b9348', 'rect'],
  'http-uds': ['#5f9a0c', plus],
  fetch: ['#0c8599', 'diamond'],
  undici: ['#0a8f6a', cross],
  'undici-uds': ['#1a9c7c', 'roundRect'],
  http2: ['#7c5cd6', hexagon],
  grpc: ['#7f56d9', 'diamond'],
  zeromq: ['#b04cc6', 'rect'],
  'ipc-json': ['#5872e0', 'roundRect'],
  'ipc-advanced': ['#6d83ec', cross],
  ws: ['#1391a6', pointingDown],
  'file-write': ['#96736a', 'rect'],
  'file-tail': ['#9b7568', cross],
  'file-append': ['#8a6558', 'roundRect'],
  fifo: ['#83870f', plus],
  'signal-file': ['#a67c52', pointingDown],
  nats: ['#1089a0', hexagon],
  redis: ['#e03131', plus],
};
const otherColours = ['#6b7580', '#8a63e8', '#0f9d70', '#b58105', '#db4a86'];
const otherSymbols = [plus, pointingDown, cross, 'roundRect'];

/** A transport of somebody's own gets what its name hashes to. Shapes tell apart what colour alone does not for every eye. */
export function lookOf(transport: string): Look {
  const known = ownEntry(looks, transport);
  if (known) return { colour: known[0], symbol: known[1] };
  const hash = [...transport].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) >>> 0, 7);
  return {
    colour: otherColours[hash % otherColours.length] as string,
    symbol: otherSymbols[hash % otherSymbols.length] as string,
  };
}

/** Bars of others step back behind those of pillion. Mixed rather than see-through, so that grid lines do not shine through. */
export function barColour(transport: string, background: string): string {
  const { colour } = lookOf(transport);
  return isPillion(transport) ? colour : mix(colour, background, 0.3);
}

function mix(colour: string, other: string, share: number): string {
  const part = (text: string, index: number) => Number.parseInt(text.slice(1 + 2 * index, 3 + 2 * index), 16);
  const parts = [0, 1, 2].map((index) => Math.round(part(colour, index) * (1 - share) + part(other, index) * share));
  return `#${parts.map((value) => value.toString(16).padStart(2, '0')).join('')}`;
}
