import type { Theme } from './theme.js';

/** An ECharts option that is plain JSON, without functions: it can be put into the page as data, or be rendered here. */
export type Option = Record<string, unknown>;

export interface Chart {
  id: string;
  title: string;
  /** How to read it, and what it says. */
  caption: string;
  heightPx: number;
  /** Undefined when the result has no rows for it. */
  option(theme: Theme): Option | undefined;
}

export interface Line {
  name: string;
  colour: string;
  data: (number | null | (number | null)[])[];
  isDashed?: boolean;
}

/** What all charts share: quiet axes, a legend that scrolls rather than grows, room for labels. */
export function frame(theme: Theme): Option {
  return {
    animation: false,
    backgroundColor: 'transparent',
    textStyle: { color: theme.text, fontFamily: 'system-ui, sans-serif' },
    grid: { left: 12, right: 24, top: 56, bottom: 36, containLabel: true },
    legend: { type: 'scroll', top: 4, textStyle: { color: theme.text }, pageTextStyle: { color: theme.text }, pageIconColor: theme.text },
    tooltip: {
      trigger: 'axis',
      confine: true,
      backgroundColor: theme.background,
      borderColor: theme.line,
      textStyle: { color: theme.text },
    },
  };
}

export function categoryAxis(theme: Theme, name: string, data: readonly string[]): Option {
  return { type: 'category', data, name, nameLocation: 'middle', nameGap: 28, ...axisStyle(theme) };
}

export function logAxis(theme: Theme, name: string, place: 'x' | 'y' = 'y'): Option {
  const where =
    place === 'x' ? { nameLocation: 'middle', nameGap: 28 } : { nameLocation: 'end', nameTextStyle: { align: 'left', color: theme.muted } };
  return { type: 'log', name, ...axisStyle(theme), ...where, axisLabel: { color: theme.muted, hideOverlap: true } };
}

export function axisStyle(theme: Theme): Option {
  return {
    axisLine: { lineStyle: { color: theme.line } },
    axisTick: { show: false },
    axisLabel: { color: theme.muted, hideOverlap: true },
    nameTextStyle: { color: theme.muted },
    splitLine: { lineStyle: { color: theme.line } },
  };
}

export function lineSeries({ name, colour, data, isDashed = false }: Line): Option {
  return {
    type: 'line',
    name,
    data,
    symbol: isDashed ? 'emptyCircle' : 'circle',
    symbolSize: 6,
    connectNulls: true,
    itemStyle: { color: colour },
    lineStyle: { color: colour, width: isDashed ? 1.5 : 2.5, type: isDashed ? 'dashed' : 'solid' },
  };
}
