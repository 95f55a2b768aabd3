import type { Result, Row } from '../result.js';
import type { Chart, Option } from './chart.js';
import { axisStyle, frame, named } from './chart.js';
import { labelOf } from './labels.js';
import { lineOf } from './panels.js';
import { missingOf, rowsOf } from './read.js';
import type { Theme } from './theme.js';

const startsWith = ['shm', 'uds', 'http', 'fetch', 'zeromq', 'grpc', 'worker', 'ipc-advanced'];
const marks = ['0', '90', '99', '99.9', '99.99', '99.999'];

export function percentileChart(result: Result): Chart {
  const rows = rowsOf(result, 'call').filter(({ curve }) => curve.length > 0);
  return {
    id: 'percentiles',
    title: 'The tail',
    caption:
      'Share of 64-byte calls that take at most so long; each grid line leaves a tenth of the calls of the one before. What takes less than 20 µs is timed in batches of 16, which hides single slow calls; the idle-gap rows are timed one by one. Click a name to show or hide it.',
    heightPx: { wide: 440, narrow: 440 },
    missing: missingOf(result, ({ scenario, placement }) => scenario === 'call' && placement === 'free'),
    option: (theme) => (rows.length > 0 ? curves(rows, theme) : undefined),
  };
}

function curves(rows: readonly Row[], theme: Theme): Option {
  const isFamiliar = ({ transport }: Row) => startsWith.includes(transport);
  const isShown = rows.some(isFamiliar) ? isFamiliar : () => true;
  return {
    ...frame(theme),
    tooltip: { ...(frame(theme)['tooltip'] as Option), trigger: 'item', formatter: '{a}, {b}' },
    legend: {
      type: 'scroll',
      top: 0,
      left: 0,
      itemWidth: 22,
      itemHeight: 9,
      data: rows.map(({ transport }) => labelOf(transport)),
      textStyle: { color: theme.text, fontSize: 12 },
      pageTextStyle: { color: theme.text },
      pageIconColor: theme.text,
      pageIconInactiveColor: theme.line,
      selected: Object.fromEntries(rows.map((row) => [labelOf(row.transport), isShown(row)])),
    },
    grid: { left: 56, right: 32, top: 56, bottom: 56 },
    xAxis: named(
      {
        type: 'value',
        min: 0,
        max: marks.length - 1,
        ...axisStyle(theme),
        axisLabel: { show: false },
        splitLine: { show: false },
      },
      'share of calls, %',
      32,
    ),
    yAxis: { type: 'log', name: 'µs', ...axisStyle(theme) },
    series: [scaleOfNines(theme), ...rows.map((row) => ({ ...lineOf(row.transport, points(row)), symbolSize: 5 }))],
  };
}

/** A percentile whose tail holds less than one sample of a round says no more than the maximum. */
function points({ curve, count, batch, rounds }: Row): Option[] {
  const samples = count / (batch ?? 1) / Math.max(rounds, 1);
  return curve
    .filter(([percentile]) => percentile < 100 && (1 - percentile / 100) * samples >= 1)
    .map(([percentile, us]) => ({ name: `${percentile} % within ${us} µs`, value: [ninesOf(percentile), us] }));
}

/** Where a percentile stands on the scale on which histograms of latency are read: 90 is 1, 99 is 2, 99.9 is 3. */
export function ninesOf(percentile: number): number {
  return Math.abs(Number(Math.log10(1 - percentile / 100).toFixed(4)));
}

/** An axis in plain data writes nothing but numbers, so that its marks are lines with a text each. */
function scaleOfNines(theme: Theme): Option {
  return {
    type: 'line',
    data: [],
    markLine: {
      silent: true,
      symbol: 'none',
      lineStyle: { color: theme.line, type: 'solid', width: 1 },
      label: { position: 'start', distance: 8, color: theme.muted, fontSize: 11 },
      data: marks.map((text, place) => ({ xAxis: place, label: { formatter: text } })),
    },
  };
}
