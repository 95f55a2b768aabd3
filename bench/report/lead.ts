import type { Result, Row } from '../result.js';
import { formatNumber, formatUs, spreadOf } from './labels.js';
import { headlineRowsOf, rowsOf } from './read.js';

type Three = readonly [pillion: Row, http: Row, socket: Row];

/** The finding in some sentences, all of them from the rows: also where nothing is gained. Markup around numbers only. */
export function leadOf(result: Result): string {
  const flowing = threeOf(headlineRowsOf(result, 'call'));
  if (!flowing) return 'Ways of talking to a sidecar process on the same host, measured between two processes.';
  const [ours, http, socket] = flowing.map(({ p50Us }) => formatUs(p50Us));
  const rare = threeOf(rowsOf(result, 'gap-sweep').filter(({ gapUs }) => gapUs === 1_000));
  const large = threeOf(rowsOf(result, 'payload-sweep').filter(({ payloadBytes }) => payloadBytes === 2 ** 20));
  const isHeld = flowing[0].placement === 'held';
  const free = isHeld ? threeOf(rowsOf(result, 'call')) : undefined;
  return [
    `Asking a sidecar takes <strong>${ours}</strong> over pillion while traffic flows, ${http} over HTTP and ${socket} over a Unix socket on this machine${isHeld ? ', with a CPU for each side' : ''}${ranges(flowing)}.`,
    free && `Where the scheduler places them: ${inWords(free)}${ranges(free)}.`,
    rare && `After a rest of 1 ms: ${inWords(rare)}.`,
    large && `With 1 MiB in each direction: ${inWords(large)}.`,
  ]
    .filter(Boolean)
    .join(' ');
}

function threeOf(rows: readonly Row[]): Three | undefined {
  const [ours, http, socket] = ['shm', 'http', 'uds'].map((name) =>
    rows.find(({ transport, p50Us }) => transport === name && p50Us !== null),
  );
  return ours && http && socket ? [ours, http, socket] : undefined;
}

/** In the order of the sentence before. */
function inWords(rows: Three): string {
  const [ours, http, socket] = rows.map(({ p50Us }) => formatUs(p50Us));
  return `${ours}, ${http} and ${socket}`;
}

/** Rounds that differ much belong into the same sentence as their median. */
function ranges(rows: Three): string {
  const isWide = ({ p50UsRounds }: Row) => p50UsRounds.length > 1 && Math.max(...p50UsRounds) > 1.5 * Math.min(...p50UsRounds);
  if (!rows.some(isWide)) return '';
  const [ours, http, socket] = rows.map((row) => spreadOf(row) || formatNumber(row.p50Us));
  return ` (medians of single rounds: ${ours}; ${http}; ${socket})`;
}
