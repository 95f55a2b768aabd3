import type { Result, Row } from '../result.js';
import type { Chart, Option } from './chart.js';
import { decades, logAxis } from './chart.js';
import { formatNumber } from './labels.js';
import { legendOf } from './legend.js';
import { lineOf, panels, panelsHeight } from './panels.js';
import { missingOf, rowsOf, transportsOf } from './read.js';
import type { Theme } from './theme.js';

/** Not over time but over cost: what a transport makes of the CPU it takes. */
export function rateChart(result: Result): Chart {
  const rows = rowsOf(result, 'rate').filter(({ cpuUsPerOp }) => cpuUsPerOp !== null && cpuUsPerOp > 0);
  return {
    id: 'latency-cpu',
    title: 'Latency against CPU',
    caption: captionOf(rows),
    heightPx: panelsHeight(legendOf(transportsOf(rows))),
    missing: missingOf(result, ({ scenario }) => scenario === 'rate'),
    option: (theme) => (rows.length > 0 ? overCpu(rows, theme) : undefined),
  };
}

function captionOf(rows: readonly Row[]): string {
  const rates = rows.map(({ ratePerSec }) => ratePerSec);
  const range = rates.length > 0 ? `, from ${formatNumber(Math.min(...rates))} to ${formatNumber(Math.max(...rates))} a second` : '';
  const grey = rows.some(({ transport }) => transport === 'function')
    ? ' The grey line is a function call: what the pacing of the bench costs by itself.'
    : '';
  return `Calls at fixed rates${range} (larger points are higher rates); latency counts from the planned time. Lower left is better.${grey}`;
}

function overCpu(rows: readonly Row[], theme: Theme): Option {
  const transports = transportsOf(rows);
  const values = [(row: Row) => row.p50Us, (row: Row) => row.p99Us] as const;
  const range = decades(rows.flatMap(({ p50Us, p99Us }) => [p50Us, p99Us]));
  const cpu = decades(rows.map(({ cpuUsPerOp }) => cpuUsPerOp));
  return panels(
    {
      titles: ['median, µs', '99th percentile, µs'],
      legend: legendOf(transports),
      ranges: [range, range],
      xAxis: logAxis(theme, cpu),
      xName: 'CPU µs per call, both processes',
      series: (panel) => transports.map((transport) => lineOf(transport, points(rows, transport, values[panel]))),
      tooltip: { trigger: 'item', formatter: '{a}, {b}<br>CPU, latency: {c} µs' },
    },
    theme,
  );
}

function points(rows: readonly Row[], transport: string, value: (row: Row) => number | null): Option[] {
  const rates = [...new Set(rows.map(({ ratePerSec }) => ratePerSec))].sort((a, b) => a - b);
  return rows
    .filter((row) => row.transport === transport)
    .toSorted((a, b) => a.ratePerSec - b.ratePerSec)
    .map((row) => ({
      name: `${formatNumber(row.ratePerSec)}/s`,
      value: [row.cpuUsPerOp, value(row)],
      symbolSize: 5 + 3 * rates.indexOf(row.ratePerSec),
    }));
}
