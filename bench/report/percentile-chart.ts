import type { Result } from '../result.js';
import type { Chart } from './chart.js';
import { categoryAxis, frame, lineSeries, logAxis } from './chart.js';
import { colourOf, labelOf } from './labels.js';
import { rowsOf } from './read.js';

/** Evenly spaced they are nearly the scale of nines that histograms are read on. */
const shown = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.999];
const startsWith = ['shm', 'uds', 'http', 'fetch', 'zeromq', 'grpc', 'worker', 'ipc-advanced'];

export function percentileChart(result: Result): Chart {
  const rows = rowsOf(result, 'call').filter(({ curve }) => curve.length > 0);
  return {
    id: 'percentiles',
    title: 'The tail',
    caption:
      'Share of 64-byte calls that take at most so long. What takes less than 20 µs is timed in batches of 16, which hides single slow calls up to p99; the idle-gap rows are timed one by one. Click a name to show or hide it.',
    heightPx: 440,
    option: (theme) =>
      rows.length === 0
        ? undefined
        : {
            ...frame(theme),
            legend: {
              ...(frame(theme)['legend'] as object),
              selected: Object.fromEntries(rows.map(({ transport }) => [labelOf(transport), startsWith.includes(transport)])),
            },
            xAxis: categoryAxis(theme, 'percentile', shown.map(String)),
            yAxis: logAxis(theme, 'µs'),
            series: rows.map(({ transport, curve }) => {
              const at = new Map(curve);
              return lineSeries({
                name: labelOf(transport),
                colour: colourOf(transport),
                data: shown.map((percentile) => at.get(percentile) ?? null),
              });
            }),
          },
  };
}
