import type { Result, Row } from '../result.js';
import type { Chart, Option } from './chart.js';
import { decades } from './chart.js';
import { conditionsOf } from './labels.js';
import { legendOf } from './legend.js';
import { barsOf, categoryAxis, panels, panelsHeight } from './panels.js';
import { headlineRowsOf, missingOf, rowsOf, transportsOf } from './read.js';
import type { Theme } from './theme.js';

/** Bars for conditions that are no scale. */
interface Comparison extends Pick<Chart, 'id' | 'title' | 'caption' | 'missing'> {
  rows: readonly Row[];
  place(row: Row): string;
  xName: string;
}

export function conditionCharts(result: Result): Chart[] {
  const undisturbed = rowsOf(result, 'clients').filter(({ clients }) => clients === 1);
  const disturbed = [...rowsOf(result, 'load'), ...rowsOf(result, 'busy')];
  return [
    comparison({
      id: 'clients',
      title: 'Many clients',
      caption: 'Connections of one app, each with a call outstanding all the time: latency contains waiting for the others.',
      rows: rowsOf(result, 'clients'),
      missing: missingOf(result, ({ scenario }) => scenario === 'clients'),
      place: ({ clients }) => String(clients),
      xName: 'clients',
    }),
    comparison({
      id: 'disturbed',
      title: 'A busy machine, a busy app',
      caption:
        'One other process per CPU wants all of it; or the app’s own event loop is blocked for 1 ms out of every 2, at 1,000 calls a second.',
      rows: disturbed.length > 0 ? [...undisturbed, ...disturbed] : [],
      missing: missingOf(result, ({ scenario }) => scenario === 'load' || scenario === 'busy'),
      place: (row) => conditionsOf(row) || 'no load',
      xName: '',
    }),
    comparison({
      id: 'placement',
      title: 'Where the scheduler puts them',
      caption:
        'free: the scheduler decides. held: started freely, then each side held on a CPU of its own. apart: each started on a single CPU, where adaptive pillion does not spin. together: both on one CPU, where a wake-up is a mere switch and sockets are at their best.',
      rows: [...sameCalls(result), ...rowsOf(result, 'placement')],
      missing: missingOf(result, ({ scenario }) => scenario === 'placement'),
      place: ({ placement }) => placement,
      xName: '',
    }),
  ];
}

/** The calls of the placement rows, as the scheduler placed them and held. */
function sameCalls(result: Result): Row[] {
  const transports = transportsOf(rowsOf(result, 'placement'));
  const held = headlineRowsOf(result, 'call').filter(({ placement }) => placement === 'held');
  return [...rowsOf(result, 'call'), ...held].filter(({ transport }) => transports.includes(transport));
}

function comparison({ rows, place, xName, ...rest }: Comparison): Chart {
  const heightPx = panelsHeight(legendOf(transportsOf(rows)));
  return { ...rest, heightPx, option: (theme) => (rows.length > 0 ? groups(rows, place, xName, theme) : undefined) };
}

function groups(rows: readonly Row[], place: (row: Row) => string, xName: string, theme: Theme): Option {
  const places = [...new Set(rows.map(place))];
  const transports = transportsOf(rows);
  const range = decades(rows.flatMap(({ p50Us, p99Us }) => [p50Us, p99Us]));
  const values = [(row: Row) => row.p50Us, (row: Row) => row.p99Us] as const;
  const valuesOf = (transport: string, panel: 0 | 1) =>
    places.map((where) => {
      const row = rows.find((each) => each.transport === transport && place(each) === where);
      return row ? values[panel](row) : null;
    });
  return panels(
    {
      titles: ['median, µs', '99th percentile, µs'],
      legend: legendOf(transports),
      ranges: [range, range],
      hasBars: true,
      xAxis: categoryAxis(theme, places),
      xName,
      series: (panel) => transports.map((transport) => barsOf(transport, valuesOf(transport, panel))),
    },
    theme,
  );
}
