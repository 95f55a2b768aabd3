import type { Result, Row } from '../result.js';
import type { Bar, BarGroup } from './bar-list.js';
import { barList, barListHeight } from './bar-list.js';
import type { Chart } from './chart.js';
import { labelOf } from './labels.js';
import { headlineRowsOf, missingOf, rowsOf } from './read.js';

const asked = ['function', 'shm', 'uds', 'http', 'fetch'];
const volumes = ['file-write', 'file-tail', 'file-append'];
const told = ['function', 'shm', ...volumes];

/** The first figure of the sidecar pattern: direct call, pillion, HTTP, shared volume. */
export function costChart(result: Result): Chart {
  const groups = communicationCosts(result);
  const placements = new Set(['call', 'send'].flatMap((scenario) => headlineRowsOf(result, scenario).map(({ placement }) => placement)));
  const place = placements.has('held') ? ' Each side was held on a CPU of its own.' : '';
  return {
    id: 'communication-cost',
    title: 'What a message to the sidecar costs',
    caption: `Medians; each grid line is ten times the one before. Thin lines: from the fastest to the slowest round.${place}`,
    heightPx: barListHeight(groups),
    missing: missingOf(
      result,
      ({ scenario, transport, gapUs, placement }) =>
        (placement === 'held') === placements.has('held') &&
        ((scenario === 'call' && asked.includes(transport)) || (scenario === 'send' && gapUs === 0 && told.includes(transport))),
    ),
    option: (theme) => (groups.length > 0 ? barList(groups, theme) : undefined),
  };
}

/** Each group cheapest first; only what was measured. */
export function communicationCosts(result: Result): BarGroup[] {
  const tell = headlineRowsOf(result, 'send').filter(({ gapUs }) => gapUs === 0);
  return [
    { title: 'Ask: 64 bytes there and back, awaited', bars: barsOf(headlineRowsOf(result, 'call'), asked) },
    { title: 'Tell: hand over a log line, the app’s own time', bars: barsOf(tell, told) },
  ].filter(({ bars }) => bars.length > 0);
}

export function allCallsChart(result: Result): Chart {
  const rows = rowsOf(result, 'call');
  const groups = [{ title: '', bars: barsOf(rows) }];
  return {
    id: 'all-calls',
    title: 'Every way of asking',
    caption:
      '64 bytes there and back, awaited, one after the other; the scheduler places both sides. Medians; thin lines: from the fastest to the slowest round. A worker is a thread of the app itself, no sidecar.',
    heightPx: barListHeight(groups),
    missing: missingOf(result, ({ scenario, placement }) => scenario === 'call' && placement === 'free'),
    option: (theme) => (rows.length > 0 ? barList(groups, theme) : undefined),
  };
}

function barsOf(rows: readonly Row[], chosen?: readonly string[]): Bar[] {
  return rows
    .filter(({ transport }) => chosen?.includes(transport) ?? true)
    .flatMap(({ transport, p50Us, p50UsRounds }) =>
      p50Us === null ? [] : [{ label: costLabel(transport), transport, us: p50Us, roundsUs: p50UsRounds }],
    )
    .sort((a, b) => a.us - b.us);
}

function costLabel(transport: string): string {
  return volumes.includes(transport) ? `shared volume: ${labelOf(transport)}` : labelOf(transport);
}
