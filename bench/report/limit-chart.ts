import type { Result, Row } from '../result.js';
import type { Chart, Option } from './chart.js';
import { axisStyle, decades, frame, logAxis, named, responsive } from './chart.js';
import { conditionsOf, formatBytes, formatNumber, labelOf } from './labels.js';
import { legendOf } from './legend.js';
import { lookOf } from './looks.js';
import { missingOf, transportsOf } from './read.js';
import type { Theme } from './theme.js';

const rowPx = 26;
const axisPx = 60;

/** How far pillion is from what the machine allows. */
export function limitChart(result: Result): Chart {
  const rows = result.rows.filter(({ timesLimit, status }) => timesLimit !== null && status === 'ok');
  const { heightPx: legendPx } = legendOf(transportsOf(rows));
  const restPx = rowPx * new Set(rows.map(placeOf)).size + axisPx;
  return {
    id: 'limits',
    title: 'Times the physical limit',
    caption:
      'Limits come from C++ programs of the same run: a framed ring between two spinning processes, a stream through it, the four copies of a large call one after the other, the wake-up of a sleeper. 1 is what this machine allows; large calls come below it, because two CPUs copy at once.',
    heightPx: { wide: legendPx.wide + restPx, narrow: legendPx.narrow + restPx },
    missing: missingOf(result, ({ scenario }) => scenario === 'limits'),
    option: (theme) => (rows.length > 0 ? dots(rows, theme) : undefined),
  };
}

function dots(rows: readonly Row[], theme: Theme): Option {
  const places = [...new Set(rows.map(placeOf))];
  const transports = transportsOf(rows);
  const legend = legendOf(transports);
  const grid = (top: number) => ({ grid: { left: 128, right: 24, top: top + 8, height: rowPx * places.length } });
  const common = {
    ...frame(theme),
    tooltip: { ...(frame(theme)['tooltip'] as Option), trigger: 'item', formatter: '{a}<br>{b} times the limit' },
    legend: { ...legend.option(theme), itemWidth: 10, itemHeight: 10 },
    xAxis: named(logAxis(theme, decades([1, ...rows.map(({ timesLimit }) => timesLimit)])), 'times the limit, logarithmic'),
    yAxis: {
      type: 'category',
      inverse: true,
      data: places,
      ...axisStyle(theme),
      axisLabel: { color: theme.text, fontSize: 12, interval: 0 },
      splitLine: { show: true, lineStyle: { color: theme.line } },
    },
    series: transports.map((transport) => dotsOf(rows, transport)),
  };
  return responsive(common, grid(legend.heightPx.wide), grid(legend.heightPx.narrow));
}

function dotsOf(rows: readonly Row[], transport: string): Option {
  const { colour, symbol } = lookOf(transport);
  return {
    type: 'scatter',
    name: labelOf(transport),
    symbol,
    symbolSize: transport === 'shm' ? 12 : 9,
    z: transport === 'shm' ? 4 : 3,
    itemStyle: { color: colour, opacity: 1 },
    data: rows
      .filter((row) => row.transport === transport)
      .map((row) => ({ name: `${placeOf(row)}: ${formatNumber(row.timesLimit)}`, value: [row.timesLimit, placeOf(row)] })),
  };
}

/** The short name of a case. */
function placeOf(row: Row): string {
  if (row.scenario === 'gap-sweep') return row.gapUs === 0 ? 'call, no gap' : `call, ${conditionsOf(row)}`;
  if (row.scenario === 'payload-sweep') return `call, ${formatBytes(row.payloadBytes)}`;
  return [row.scenario, conditionsOf(row)].filter(Boolean).join(', ');
}
