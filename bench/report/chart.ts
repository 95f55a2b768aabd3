import type { Theme } from './theme.js';

/** An ECharts option that is plain JSON, without functions: it can be put into the page as data, or be rendered here. */
export type Option = Record<string, unknown>;

export interface Chart {
  id: string;
  title: string;
  /** How to read it, and what it says. */
  caption: string;
  heightPx: Height;
  missing: readonly Missing[];
  /** Undefined when the result has no rows for it. */
  option(theme: Theme): Option | undefined;
}

/** What belongs here and has no figures: a reader must not take a missing point for a missing weakness. */
export interface Missing {
  what: string;
  status: string;
}

/** On a phone, panels stand one under the other. */
export interface Height {
  wide: number;
  narrow: number;
}

/** Of the place for a chart. The same number is in the style sheet. */
export const widestNarrowPx = 560;

/** One option for both widths; ECharts takes what fits whenever the chart is resized. */
export function responsive(common: Option, wide: Option, narrow: Option): Option {
  return {
    baseOption: { ...common, ...wide },
    media: [{ query: { maxWidth: widestNarrowPx }, option: narrow }, { option: wide }],
  };
}

/** What all charts share: no movement, and the card's colours. */
export function frame(theme: Theme): Option {
  return {
    animation: false,
    backgroundColor: 'transparent',
    textStyle: { color: theme.text, fontFamily: 'system-ui, sans-serif' },
    tooltip: {
      trigger: 'axis',
      confine: true,
      backgroundColor: theme.background,
      borderColor: theme.line,
      textStyle: { color: theme.text, fontSize: 12 },
    },
  };
}

export function axisStyle(theme: Theme): Option {
  return {
    axisLine: { lineStyle: { color: theme.line } },
    axisTick: { show: false },
    axisLabel: { color: theme.muted, fontSize: 11, hideOverlap: true },
    nameTextStyle: { color: theme.muted, fontSize: 11 },
    splitLine: { lineStyle: { color: theme.line } },
  };
}

export function logAxis(theme: Theme, range: Range): Option {
  return { type: 'log', ...axisStyle(theme), min: range.from, max: range.to };
}

/** A caption below a horizontal axis. */
export function named(axis: Option, name: string, gapPx = 26): Option {
  return { ...axis, name, nameLocation: 'middle', nameGap: gapPx };
}

export interface Range {
  from: number;
  to: number;
}

/** Whole powers of ten around the values. */
export function decades(values: readonly (number | null)[]): Range {
  const positive = values.filter((value): value is number => value !== null && value > 0);
  if (positive.length === 0) return { from: 1, to: 10 };
  const from = 10 ** Math.floor(Math.log10(Math.min(...positive)));
  const to = 10 ** Math.ceil(Math.log10(Math.max(...positive)));
  return { from, to: Math.max(to, from * 10) };
}

/** Text in a small panel's corner. */
export function panelTitle(theme: Theme, text: string, place: Option): Option {
  return { text, ...place, padding: 0, textStyle: { fontSize: 12, fontWeight: 'normal', color: theme.muted } };
}
