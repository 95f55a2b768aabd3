import type { Result, Row } from '../result.js';
import type { Chart, Option, Range } from './chart.js';
import { decades } from './chart.js';
import { formatBytes, formatGap, formatNumber } from './labels.js';
import { legendOf } from './legend.js';
import { categoryAxis, lineOf, panels, panelsHeight } from './panels.js';
import { missingOf, rowsOf, transportsOf } from './read.js';
import type { Theme } from './theme.js';

type Value = (row: Row) => number | null;

/** Lines over a condition that varies. */
interface Sweep extends Pick<Chart, 'id' | 'title' | 'caption'> {
  place(row: Row): number;
  placeLabel(place: number): string;
  xName: string;
  titles: readonly [string, string];
  values: readonly [Value, Value];
  /** Whether both panels show the same unit. */
  sharesRange: boolean;
}

const p50: Value = ({ p50Us }) => p50Us;
const latency = {
  titles: ['median, µs', '99th percentile, µs'],
  values: [p50, ({ p99Us }: Row) => p99Us],
  sharesRange: true,
} as const;

export function gapChart(result: Result): Chart {
  return sweepChart(result, {
    ...latency,
    id: 'gap-sweep',
    title: 'When calls are rare',
    caption:
      'Latency of a 64-byte call after a rest. Up to 100 µs the app works meanwhile; from 1 ms on both sides can sleep, and waking up is what is measured.',
    place: ({ gapUs }) => gapUs,
    placeLabel: formatGap,
    xName: 'rest before each call',
  });
}

export function payloadChart(result: Result): Chart {
  return sweepChart(result, {
    id: 'payload-sweep',
    title: 'When messages grow',
    caption: 'Calls, one at a time, with the same number of bytes in both directions; bandwidth counts both.',
    place: ({ payloadBytes }) => payloadBytes,
    placeLabel: formatBytes,
    xName: 'bytes in each direction',
    titles: ['median, µs', 'MiB/s'],
    values: [p50, bandwidth],
    sharesRange: false,
  });
}

export function eventLatencyChart(result: Result): Chart {
  return sweepChart(result, {
    ...latency,
    id: 'event-latency',
    title: 'How long an event takes to arrive',
    caption:
      'From the planned time to the sidecar’s handler. pillion’s sidecar dozes for up to 1 ms instead of being woken for each event: that is what makes sending cheap.',
    place: ({ ratePerSec }) => ratePerSec,
    placeLabel: (rate) => `${formatNumber(rate)}/s`,
    xName: 'events a second, open loop',
  });
}

/** The scenario has the chart's name. */
function sweepChart(result: Result, sweep: Sweep): Chart {
  const { id, title, caption } = sweep;
  const rows = rowsOf(result, id);
  return {
    id,
    title,
    caption,
    heightPx: panelsHeight(legendOf(transportsOf(rows))),
    missing: missingOf(result, ({ scenario, placement }) => scenario === id && placement === 'free'),
    option: (theme) => (rows.length > 0 ? overPlaces(rows, sweep, theme) : undefined),
  };
}

function overPlaces(rows: readonly Row[], sweep: Sweep, theme: Theme): Option {
  const { place, placeLabel, xName, titles, values } = sweep;
  const places = [...new Set(rows.map(place))].sort((a, b) => a - b);
  const transports = transportsOf(rows);
  const valuesOf = (transport: string, value: Value) =>
    places.map((where) => {
      const row = rows.find((each) => each.transport === transport && place(each) === where);
      return row ? value(row) : null;
    });
  return panels(
    {
      titles,
      legend: legendOf(transports),
      ranges: rangesOf(rows, sweep),
      xAxis: categoryAxis(theme, places.map(placeLabel)),
      xName,
      series: (panel) => transports.map((transport) => lineOf(transport, valuesOf(transport, values[panel]))),
    },
    theme,
  );
}

function rangesOf(rows: readonly Row[], { values, sharesRange }: Sweep): [Range, Range] {
  const [first, second] = [rows.map(values[0]), rows.map(values[1])];
  const both = decades([...first, ...second]);
  return sharesRange ? [both, both] : [decades(first), decades(second)];
}

function bandwidth({ opsPerSec, payloadBytes }: Row): number | null {
  return opsPerSec === null ? null : Number(((2 * payloadBytes * opsPerSec) / 2 ** 20).toPrecision(3));
}
