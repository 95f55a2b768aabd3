import type { OverheadRow, Result } from '../result.js';
import type { Chart, Option } from './chart.js';
import { axisStyle, categoryAxis, frame } from './chart.js';
import { formatNumber } from './labels.js';
import type { Theme } from './theme.js';

const labels = { embedded: 'embedded', http: 'sidecar, HTTP', pillion: 'sidecar, pillion' } as const;
const appColour = '#1971c2';
const sidecarColour = '#d9480f';
const networkColour = '#2f9e44';

/** The second figure of the sidecar pattern: a panel for each resource. */
export function overheadChart({ overhead }: Result): Chart {
  const rows = overhead.filter(({ status }) => status === 'ok');
  return {
    id: 'resource-overhead',
    title: 'What a sidecar costs in resources',
    caption: `One workload (check a token, write a log line, count and time each request), ${formatNumber(rows[0]?.ratePerSec ?? null)} requests a second: everything inside the app, in a sidecar over HTTP, in a sidecar over pillion.`,
    heightPx: 420,
    option: (theme) => (rows.length > 0 ? panels(rows, theme) : undefined),
  };
}

/** One under the other, so that they have room on a phone. */
const tops = [64, 190, 316];

function panels(rows: readonly OverheadRow[], theme: Theme): Option {
  const names = rows.map(({ variant }) => labels[variant]);
  const titles = ['CPU ms per 1,000 requests', 'resident MiB', 'socket bytes per request'];
  const series = [
    stacked(
      'app',
      appColour,
      0,
      rows.map(({ appCpuMsPer1000 }) => appCpuMsPer1000),
      theme,
    ),
    stacked(
      'sidecar',
      sidecarColour,
      0,
      rows.map(({ sidecarCpuMsPer1000 }) => sidecarCpuMsPer1000),
      theme,
    ),
    stacked(
      'app',
      appColour,
      1,
      rows.map(({ appRssMiB }) => appRssMiB),
      theme,
    ),
    stacked(
      'sidecar',
      sidecarColour,
      1,
      rows.map(({ sidecarRssMiB }) => sidecarRssMiB),
      theme,
    ),
    stacked(
      'network',
      networkColour,
      2,
      rows.map(({ networkBytesPerRequest }) => networkBytesPerRequest),
      theme,
    ),
  ];
  return {
    ...frame(theme),
    title: titles.map((text, index) => ({
      text,
      left: 8,
      top: (tops[index] as number) - 26,
      textStyle: { fontSize: 12, color: theme.muted, fontWeight: 'normal' },
    })),
    grid: tops.map((top) => ({ left: 108, right: 48, top, height: 84 })),
    xAxis: titles.map((_, gridIndex) => ({ type: 'value', gridIndex, ...axisStyle(theme), axisLabel: { show: false } })),
    yAxis: titles.map((_, gridIndex) => ({
      ...categoryAxis(theme, '', names),
      gridIndex,
      inverse: true,
      axisLabel: { color: theme.text, interval: 0 },
    })),
    series,
  };
}

function stacked(name: string, colour: string, panel: number, values: readonly (number | null)[], theme: Theme): Option {
  const isOutside = panel === 2;
  return {
    type: 'bar',
    name,
    stack: String(panel),
    xAxisIndex: panel,
    yAxisIndex: panel,
    barMaxWidth: 20,
    itemStyle: { color: colour },
    data: values.map((value) => ({
      value,
      label: {
        show: value !== null && value > 0,
        position: isOutside ? 'right' : 'inside',
        formatter: formatNumber(value),
        color: isOutside ? theme.text : '#ffffff',
      },
    })),
  };
}
