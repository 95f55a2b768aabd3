import type { Result, Row } from '../result.js';
import type { Chart, Line, Option } from './chart.js';
import { categoryAxis, frame, lineSeries, logAxis } from './chart.js';
import { colourOf, formatBytes, formatGap, formatNumber, labelOf } from './labels.js';
import { rowsOf } from './read.js';
import type { Theme } from './theme.js';

interface Sweep {
  rows: readonly Row[];
  /** Where on the x axis a row belongs, and how that place is called. */
  place(row: Row): number;
  placeLabel(place: number): string;
  xName: string;
  yName: string;
  /** One line per transport and entry. */
  values: { suffix: string; value(row: Row): number | null; isDashed?: boolean }[];
}

const latency: Sweep['values'] = [
  { suffix: '', value: ({ p50Us }) => p50Us },
  { suffix: ' p99', value: ({ p99Us }) => p99Us, isDashed: true },
];

export function gapChart(result: Result): Chart {
  const sweep: Sweep = {
    rows: rowsOf(result, 'gap-sweep'),
    place: ({ gapUs }) => gapUs,
    placeLabel: formatGap,
    xName: 'rest before each call',
    yName: 'µs',
    values: latency,
  };
  return chart(
    'gap-sweep',
    'When calls are rare',
    'Latency of a 64-byte call after a rest. Up to 100 µs the app works meanwhile, from 1 ms on both sides can sleep, and waking up is what is measured. Solid: median, dashed: p99.',
    sweep,
  );
}

export function payloadCharts(result: Result): Chart[] {
  const sweep = {
    rows: rowsOf(result, 'payload-sweep'),
    place: ({ payloadBytes }: Row) => payloadBytes,
    placeLabel: formatBytes,
    xName: 'payload, there and back',
  };
  const bandwidth = ({ opsPerSec, payloadBytes }: Row) => (opsPerSec === null ? null : (2 * payloadBytes * opsPerSec) / 2 ** 20);
  return [
    chart(
      'payload-sweep',
      'When messages grow',
      'Latency of a call with the same number of bytes in both directions. Solid: median, dashed: p99.',
      { ...sweep, yName: 'µs', values: latency },
    ),
    chart('payload-bandwidth', 'Bandwidth of calls', 'Bytes of both directions together, one call at a time.', {
      ...sweep,
      yName: 'MiB/s',
      values: [{ suffix: '', value: bandwidth }],
    }),
  ];
}

export function eventLatencyChart(result: Result): Chart {
  const sweep: Sweep = {
    rows: rowsOf(result, 'event-latency'),
    place: ({ ratePerSec }) => ratePerSec,
    placeLabel: (rate) => `${formatNumber(rate)}/s`,
    xName: 'events a second, open loop',
    yName: 'µs',
    values: latency,
  };
  return chart(
    'event-latency',
    'How long an event takes to arrive',
    'From the planned time to the sidecar’s handler. pillion’s sidecar dozes for up to 1 ms instead of being woken for each event: that is what makes sending cheap. Solid: median, dashed: p99.',
    sweep,
  );
}

/** Not over time but over cost: what a transport makes of the CPU it takes. */
export function rateChart(result: Result): Chart {
  const rows = rowsOf(result, 'rate');
  return {
    id: 'latency-cpu',
    title: 'Latency against CPU',
    caption:
      'Open loop, latency from the planned time on. Each point is a rate, from 100 to 20,000 calls a second (right to left); lower left is better. The grey line is a function call: what the pacing of the bench costs by itself. Solid: median, dashed: p99.',
    heightPx: 420,
    option: (theme) => (rows.length > 0 ? overCpu(rows, theme) : undefined),
  };
}

function overCpu(rows: readonly Row[], theme: Theme): Option {
  const lines = transportsOf(rows).flatMap((transport) =>
    latency.map(({ suffix, value, isDashed }): Line => {
      const own = rows.filter((row) => row.transport === transport).toSorted((a, b) => a.ratePerSec - b.ratePerSec);
      return {
        name: labelOf(transport) + suffix,
        colour: colourOf(transport),
        data: own.map((row) => [row.cpuUsPerOp, value(row)]),
        isDashed: isDashed === true,
      };
    }),
  );
  const base = frame(theme);
  return {
    ...base,
    tooltip: { ...(base['tooltip'] as Option), trigger: 'item' },
    xAxis: { ...logAxis(theme, 'CPU µs per call, both processes', 'x') },
    yAxis: logAxis(theme, 'µs'),
    series: lines.map(lineSeries),
  };
}

function chart(id: string, title: string, caption: string, sweep: Sweep): Chart {
  return { id, title, caption, heightPx: 400, option: (theme) => (sweep.rows.length > 0 ? over(sweep, theme) : undefined) };
}

function over({ rows, place, placeLabel, xName, yName, values }: Sweep, theme: Theme): Option {
  const places = [...new Set(rows.map(place))].sort((a, b) => a - b);
  const lines = transportsOf(rows).flatMap((transport) =>
    values.map(({ suffix, value, isDashed }): Line => {
      const at = (where: number) => rows.find((row) => row.transport === transport && place(row) === where);
      const data = places.map((where) => {
        const row = at(where);
        return row ? value(row) : null;
      });
      return { name: labelOf(transport) + suffix, colour: colourOf(transport), data, isDashed: isDashed === true };
    }),
  );
  return {
    ...frame(theme),
    xAxis: categoryAxis(theme, xName, places.map(placeLabel)),
    yAxis: logAxis(theme, yName),
    series: lines.map(lineSeries),
  };
}

export function transportsOf(rows: readonly Row[]): string[] {
  return [...new Set(rows.map(({ transport }) => transport))];
}
