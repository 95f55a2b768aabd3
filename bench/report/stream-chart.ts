import type { Result, Row } from '../result.js';
import type { Bar, BarGroup } from './bar-list.js';
import { barList, barListHeight } from './bar-list.js';
import type { Chart } from './chart.js';
import { formatBytes, labelOf } from './labels.js';
import { headlineRowsOf, missingOf } from './read.js';

const directions = [
  { scenario: 'stream', title: 'Sidecar to app' },
  { scenario: 'upload', title: 'App to sidecar' },
] as const;

export function streamChart(result: Result): Chart {
  const groups = directions.flatMap(({ scenario, title }) => groupsOf(title, headlineRowsOf(result, scenario)));
  return {
    id: 'streams',
    title: 'What an item of a stream costs',
    caption:
      'The share of one item in a whole stream; every item is read and verified. pillion grants credit and gives the items to an asynchronous loop; over socket and HTTP they come packed into chunks of 64 KiB, behind their lengths. Thin lines: from the fastest to the slowest round.',
    heightPx: barListHeight(groups),
    missing: missingOf(
      result,
      ({ scenario, placement }) => placement === 'held' && directions.some((direction) => direction.scenario === scenario),
    ),
    option: (theme) => (groups.length > 0 ? barList(groups, theme) : undefined),
  };
}

function groupsOf(title: string, rows: readonly Row[]): BarGroup[] {
  const sizes = [...new Set(rows.map(({ payloadBytes }) => payloadBytes))];
  return sizes.map((size) => ({
    title: `${title}, items of ${formatBytes(size)}`,
    bars: barsOf(rows.filter(({ payloadBytes }) => payloadBytes === size)),
  }));
}

function barsOf(rows: readonly Row[]): Bar[] {
  return rows
    .flatMap(({ transport, p50Us, p50UsRounds }) =>
      p50Us === null ? [] : [{ label: labelOf(transport), transport, us: p50Us, roundsUs: p50UsRounds }],
    )
    .sort((a, b) => a.us - b.us);
}
