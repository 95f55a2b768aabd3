import type { OverheadRow, Result } from '../result.js';
import type { Chart, Option } from './chart.js';
import { axisStyle, frame, panelTitle } from './chart.js';
import { formatNumber, variantLabel } from './labels.js';
import type { Theme } from './theme.js';

const colours = { app: '#1c7ed6', sidecar: '#8a63e8', network: '#2b9348' } as const;

interface Part {
  name: keyof typeof colours;
  value(row: OverheadRow): number | null;
}

interface Panel {
  title: string;
  parts: readonly Part[];
}

/** One under the other, so that they have room on a phone. */
const panels: readonly Panel[] = [
  {
    title: 'CPU milliseconds per 1,000 requests',
    parts: [
      { name: 'app', value: ({ appCpuMsPer1000 }) => appCpuMsPer1000 },
      { name: 'sidecar', value: ({ sidecarCpuMsPer1000 }) => sidecarCpuMsPer1000 },
    ],
  },
  {
    title: 'resident memory, MiB',
    parts: [
      { name: 'app', value: ({ appRssMiB }) => appRssMiB },
      { name: 'sidecar', value: ({ sidecarRssMiB }) => sidecarRssMiB },
    ],
  },
  {
    title: 'network bytes per request',
    parts: [{ name: 'network', value: ({ networkBytesPerRequest }) => networkBytesPerRequest }],
  },
];
const firstTopPx = 60;
const panelPx = 128;

/** The second figure of the sidecar pattern: a panel for each resource. */
export function overheadChart({ overhead }: Result): Chart {
  const rows = overhead.filter(({ status }) => status === 'ok');
  const heightPx = firstTopPx + panels.length * panelPx - 28;
  return {
    id: 'resource-overhead',
    title: 'What a sidecar costs in resources',
    caption: `One workload (check a token, write a log line, count and time each request), ${formatNumber(rows[0]?.ratePerSec ?? null)} requests a second: everything inside the app, in a sidecar over HTTP, in a sidecar over pillion. Network bytes are those through sockets between the two.`,
    heightPx: { wide: heightPx, narrow: heightPx },
    missing: overhead.filter(({ status }) => status !== 'ok').map(({ variant, status }) => ({ what: variantLabel(variant), status })),
    option: (theme) => (rows.length > 0 ? draw(rows, theme) : undefined),
  };
}

function draw(rows: readonly OverheadRow[], theme: Theme): Option {
  const tops = panels.map((_, index) => firstTopPx + index * panelPx);
  const names = { type: 'category', inverse: true, data: rows.map(({ variant }) => variantLabel(variant)), ...axisStyle(theme) };
  return {
    ...frame(theme),
    legend: { top: 0, left: 0, itemHeight: 9, data: ['app', 'sidecar'], textStyle: { color: theme.text, fontSize: 12 } },
    title: panels.map(({ title }, index) => panelTitle(theme, title, { left: 8, top: (tops[index] as number) - 20 })),
    grid: tops.map((top) => ({ left: 108, right: 64, top, height: 90 })),
    xAxis: panels.map((_, gridIndex) => ({ type: 'value', gridIndex, ...axisStyle(theme), axisLabel: { show: false } })),
    yAxis: panels.map((_, gridIndex) => ({ ...names, gridIndex, axisLabel: { color: theme.text, fontSize: 12, interval: 0 } })),
    series: panels.flatMap((panel, index) => stack(rows, panel, index, theme)),
  };
}

function stack(rows: readonly OverheadRow[], { parts }: Panel, index: number, theme: Theme): Option[] {
  const sum = (row: OverheadRow) => parts.reduce((total, { value }) => total + (value(row) ?? 0), 0);
  return parts.map(({ name, value }, place) => ({
    type: 'bar',
    name,
    stack: String(index),
    xAxisIndex: index,
    yAxisIndex: index,
    barMaxWidth: 18,
    itemStyle: { color: colours[name] },
    // The sum stands behind the bar; its parts are in the tooltip and in the tables.
    data: rows.map((row) => ({
      value: value(row),
      label: { show: place === parts.length - 1, position: 'right', formatter: formatNumber(sum(row)), color: theme.text },
    })),
  }));
}
