import type { Height, Option, Range } from './chart.js';
import { axisStyle, frame, logAxis, named, panelTitle, responsive } from './chart.js';
import { isPillion, labelOf } from './labels.js';
import type { Legend } from './legend.js';
import { lookOf } from './looks.js';
import type { Theme } from './theme.js';

/** A pair of small charts with one legend: beside each other, on a phone one under the other. */
export interface Panels {
  titles: readonly [string, string];
  legend: Legend;
  ranges: readonly [Range, Range];
  xAxis: Option;
  xName: string;
  series(panel: 0 | 1): Option[];
  tooltip?: Option;
  hasBars?: boolean;
}

const plotPx = 300;
const titlePx = 28;
const belowPx = 64;
const onePx = titlePx + plotPx + belowPx;
const both = [0, 1] as const;

export function panelsHeight({ heightPx }: Legend): Height {
  return { wide: heightPx.wide + onePx, narrow: heightPx.narrow + 2 * onePx };
}

export function panels(content: Panels, theme: Theme): Option {
  const { titles, legend } = content;
  const narrowTop = (panel: number) => legend.heightPx.narrow + panel * onePx;
  const grid = (top: number, sides: Option) => ({ ...sides, top: top + titlePx, height: plotPx });
  const title = (panel: 0 | 1, top: number, left: number | string) => panelTitle(theme, titles[panel], { left, top: top + 8 });
  const xAxes = both.map((panel) => ({ ...named(content.xAxis, content.xName, 34), gridIndex: panel }));
  return responsive(
    contentOf(content, theme),
    {
      xAxis: xAxes,
      title: both.map((panel) => title(panel, legend.heightPx.wide, panel === 0 ? 8 : '51%')),
      grid: both.map((panel) => grid(legend.heightPx.wide, panel === 0 ? { left: 56, right: '52%' } : { left: '55%', right: 20 })),
    },
    {
      xAxis: content.hasBars ? both.map(() => ({ axisLabel: { width: 50, fontSize: 9.5 } })) : [],
      title: both.map((panel) => title(panel, narrowTop(panel), 8)),
      grid: both.map((panel) => grid(narrowTop(panel), { left: 56, right: 20 })),
    },
  );
}

function contentOf({ legend, ranges, series, tooltip, hasBars }: Panels, theme: Theme): Option {
  return {
    ...frame(theme),
    tooltip: { ...(frame(theme)['tooltip'] as Option), ...tooltip },
    legend: legend.option(theme),
    yAxis: both.map((panel) => ({
      ...logAxis(theme, ranges[panel]),
      gridIndex: panel,
      // Bars on a logarithmic axis would begin at 1, and those below would hang.
      ...(hasBars ? { startValue: ranges[panel].from } : {}),
    })),
    series: both.flatMap((panel) => series(panel).map((one) => ({ ...one, xAxisIndex: panel, yAxisIndex: panel }))),
  };
}

export function categoryAxis(theme: Theme, data: readonly string[]): Option {
  const style = axisStyle(theme);
  return {
    type: 'category',
    data,
    ...style,
    axisLabel: { color: theme.muted, fontSize: 11, interval: 0, width: 68, overflow: 'break', lineHeight: 14 },
  };
}

export function lineOf(transport: string, data: readonly unknown[]): Option {
  const { colour, symbol } = lookOf(transport);
  return {
    type: 'line',
    name: labelOf(transport),
    data,
    symbol,
    symbolSize: 7,
    symbolKeepAspect: true,
    z: isPillion(transport) ? 4 : 3,
    itemStyle: { color: colour },
    lineStyle: { color: colour, width: isPillion(transport) ? 2.5 : 1.5 },
  };
}

export function barsOf(transport: string, data: readonly (number | null)[]): Option {
  return { type: 'bar', name: labelOf(transport), data, barMaxWidth: 22, itemStyle: { color: lookOf(transport).colour } };
}
