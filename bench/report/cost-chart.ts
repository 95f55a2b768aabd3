import type { Result, Row } from '../result.js';
import type { Chart, Option } from './chart.js';
import { axisStyle, frame, logAxis } from './chart.js';
import { colourOf, formatUs, isPillion, labelOf } from './labels.js';
import { rowsOf } from './read.js';
import type { Theme } from './theme.js';

interface Cost {
  label: string;
  transport: string;
  us: number;
}

/** The first figure of the sidecar pattern. */
export function costChart(result: Result): Chart {
  const costs = communicationCosts(result);
  return {
    id: 'communication-cost',
    title: 'What a message to the sidecar costs',
    caption:
      'Median time, logarithmic. "Ask": 64 bytes there and back, awaited, one after the other. "Tell": the app’s own time for handing over a log line.',
    heightPx: 60 + 34 * Math.max(costs.length, 4),
    option: (theme) => (costs.length > 0 ? bars(costs, theme) : undefined),
  };
}

/** Function, pillion, shared volume and HTTP, cheapest first. */
export function communicationCosts(result: Result): Cost[] {
  const ask = pick(rowsOf(result, 'call'), ['function', 'shm', 'uds', 'http', 'fetch'], 'ask');
  const tell = pick(
    rowsOf(result, 'send').filter(({ gapUs }) => gapUs === 0),
    ['shm', 'file-write', 'file-append'],
    'tell',
  );
  return [...ask, ...tell].sort((a, b) => a.us - b.us);
}

function pick(rows: readonly Row[], transports: readonly string[], verb: string): Cost[] {
  return rows.flatMap(({ transport, p50Us }) => {
    const isWanted = transports.includes(transport) && p50Us !== null;
    return isWanted ? [{ label: `${verb}: ${labelOf(transport)}`, transport, us: p50Us }] : [];
  });
}

export function allCallsChart(result: Result): Chart {
  const rows = rowsOf(result, 'call').filter(({ p50Us }) => p50Us !== null);
  const costs = rows
    .map(({ transport, p50Us }) => ({ label: labelOf(transport), transport, us: p50Us as number }))
    .sort((a, b) => a.us - b.us);
  return {
    id: 'all-calls',
    title: 'Every way of asking',
    caption:
      '64 bytes there and back, awaited, one after the other. Median, logarithmic. A worker is a thread of the app itself, no sidecar.',
    heightPx: 60 + 28 * Math.max(costs.length, 4),
    option: (theme) => (costs.length > 0 ? bars(costs, theme) : undefined),
  };
}

function bars(costs: readonly Cost[], theme: Theme): Option {
  const base = frame(theme);
  // Bars on a logarithmic axis would begin at 1.
  const start = 10 ** Math.floor(Math.log10(Math.min(...costs.map(({ us }) => us))));
  return {
    ...base,
    legend: { show: false },
    grid: { left: 12, right: 84, top: 12, bottom: 36, containLabel: true },
    xAxis: { ...logAxis(theme, 'microseconds', 'x'), min: start, startValue: start },
    yAxis: {
      type: 'category',
      inverse: true,
      data: costs.map(({ label }) => label),
      ...axisStyle(theme),
      axisLabel: { color: theme.text, width: 140, overflow: 'truncate' },
    },
    series: [
      {
        type: 'bar',
        name: 'median',
        barMaxWidth: 18,
        data: costs.map(({ transport, us }) => ({
          value: us,
          itemStyle: { color: colourOf(transport), opacity: isPillion(transport) ? 1 : 0.65, borderRadius: 2 },
          label: {
            show: true,
            position: 'right',
            formatter: formatUs(us),
            color: theme.text,
            fontWeight: isPillion(transport) ? 'bold' : 'normal',
          },
        })),
      },
    ],
  };
}
