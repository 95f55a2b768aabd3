import type { Height, Option, Range } from './chart.js';
import { axisStyle, decades, frame, logAxis, named, panelTitle, responsive } from './chart.js';
import { formatUs, isPillion } from './labels.js';
import { barColour } from './looks.js';
import type { Theme } from './theme.js';

export interface Bar {
  label: string;
  transport: string;
  us: number;
  /** Medians of the single rounds. */
  roundsUs: readonly number[];
}

export interface BarGroup {
  /** Empty for a single group. */
  title: string;
  bars: readonly Bar[];
}

const rowPx = { wide: 30, narrow: 44 };
const titlePx = 34;
const axisPx = 52;

export function barListHeight(groups: readonly BarGroup[]): Height {
  const bottom = (width: 'wide' | 'narrow') => groups.reduce((px, group) => px + headPx(group) + group.bars.length * rowPx[width], axisPx);
  return { wide: bottom('wide'), narrow: bottom('narrow') };
}

/** Horizontal bars on one logarithmic scale; on a phone the names stand above the bars and leave the width to them. */
export function barList(groups: readonly BarGroup[], theme: Theme): Option {
  const all = groups.flatMap(({ bars }) => bars);
  const range = decades(all.flatMap(({ us, roundsUs }) => [us, ...roundsUs]));
  const common = {
    ...frame(theme),
    tooltip: { show: false },
    xAxis: groups.map((_, index) => horizontalAxis(theme, range, index, index === groups.length - 1)),
    series: groups.flatMap(({ bars }, index) => [medians(bars, index, theme), figures(bars, index, theme)]),
  };
  const grids = place(groups, 'wide', { left: 262, right: 70 });
  const narrowGrids = place(groups, 'narrow', { left: 18, right: 66 });
  return responsive(
    common,
    {
      title: groups.map(({ title }, index) => panelTitle(theme, title, { left: 8, top: grids[index]?.titleTop })),
      grid: grids.map(({ grid }) => grid),
      yAxis: groups.map(({ bars }, index) =>
        namesAxis(theme, bars, index, { width: 245, overflow: 'truncate', inside: false, padding: 0 }),
      ),
    },
    {
      title: groups.map(({ title }, index) => panelTitle(theme, title, { left: 8, top: narrowGrids[index]?.titleTop })),
      grid: narrowGrids.map(({ grid }) => grid),
      yAxis: groups.map(({ bars }, index) =>
        namesAxis(theme, bars, index, { inside: true, verticalAlign: 'bottom', padding: [0, 0, 12, -8], width: 280 }),
      ),
    },
  );
}

function headPx({ title }: BarGroup): number {
  return title === '' ? 8 : titlePx;
}

function place(groups: readonly BarGroup[], width: 'wide' | 'narrow', sides: Option): { grid: Option; titleTop: number }[] {
  let top = 0;
  return groups.map((group) => {
    const titleTop = top + 8;
    const grid = { outerBoundsMode: 'none', ...sides, top: top + headPx(group), height: group.bars.length * rowPx[width] };
    top += headPx(group) + grid.height;
    return { grid, titleTop };
  });
}

function horizontalAxis(theme: Theme, range: Range, gridIndex: number, isLast: boolean): Option {
  const axis = { ...logAxis(theme, range), startValue: range.from, gridIndex };
  return isLast ? named(axis, 'microseconds, logarithmic') : { ...axis, axisLabel: { show: false } };
}

function namesAxis(theme: Theme, bars: readonly Bar[], gridIndex: number, label: Option): Option {
  return {
    type: 'category',
    inverse: true,
    gridIndex,
    data: bars.map((bar) => bar.label),
    z: 5,
    ...axisStyle(theme),
    axisLabel: { verticalAlign: 'middle', ...label, color: theme.text, fontSize: 12, interval: 0 },
  };
}

function medians(bars: readonly Bar[], index: number, theme: Theme): Option {
  return {
    type: 'bar',
    name: 'median',
    barWidth: 15,
    xAxisIndex: index,
    yAxisIndex: index,
    silent: true,
    data: bars.map(({ transport, us }) => ({ value: us, itemStyle: { color: barColour(transport, theme.background), borderRadius: 2 } })),
    markLine: whiskers(bars, theme),
  };
}

/** Behind bar and whisker, so that neither crosses them. */
function figures(bars: readonly Bar[], index: number, theme: Theme): Option {
  return {
    type: 'scatter',
    name: 'figures',
    symbolSize: 1,
    xAxisIndex: index,
    yAxisIndex: index,
    silent: true,
    itemStyle: { color: 'transparent', opacity: 1 },
    data: bars.map(({ transport, us, roundsUs }, row) => ({
      value: [Math.max(us, ...roundsUs), row],
      label: {
        show: true,
        position: 'right',
        distance: 7,
        formatter: formatUs(us),
        color: theme.text,
        fontSize: 12,
        fontWeight: isPillion(transport) ? 'bold' : 'normal',
      },
    })),
  };
}

/** From the fastest to the slowest round: what a median does not tell. */
function whiskers(bars: readonly Bar[], theme: Theme): Option {
  const ends = bars.flatMap(({ roundsUs }, row) => {
    const [least, most] = [Math.min(...roundsUs), Math.max(...roundsUs)];
    return roundsUs.length > 1 && least < most ? [[{ coord: [least, row] }, { coord: [most, row] }]] : [];
  });
  return {
    silent: true,
    symbol: 'none',
    z: 6,
    label: { show: false },
    lineStyle: { type: 'solid', width: 2, color: theme.text, opacity: 0.75 },
    data: ends,
  };
}
