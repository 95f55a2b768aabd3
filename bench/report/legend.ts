import type { Option } from './chart.js';
import { labelOf } from './labels.js';
import type { Theme } from './theme.js';

const rowPx = 20;
/** Of a chart in the report's column, or in a picture, and of one on a small phone. */
const widthPx = { wide: 860, narrow: 302 };
/** Of 12 px in a wide font. */
const letterPx = 6;
const iconAndGapPx = 39;

/** A name for each transport, on as many lines as they need: what is drawn below has to know how many. */
export interface Legend {
  option(theme: Theme): Option;
  heightPx: { wide: number; narrow: number };
}

export function legendOf(transports: readonly string[]): Legend {
  const names = transports.map(labelOf);
  return {
    option: (theme) => ({
      type: 'plain',
      data: names,
      top: 0,
      left: 0,
      padding: [2, 4],
      itemGap: 12,
      itemWidth: 22,
      itemHeight: 9,
      textStyle: { color: theme.text, fontSize: 12 },
      inactiveColor: theme.muted,
    }),
    heightPx: { wide: rowPx * lines(names, widthPx.wide), narrow: rowPx * lines(names, widthPx.narrow) },
  };
}

function lines(names: readonly string[], lineWidthPx: number): number {
  let count = 1;
  let usedPx = 0;
  for (const name of names) {
    const ownPx = iconAndGapPx + letterPx * name.length;
    if (usedPx > 0 && usedPx + ownPx > lineWidthPx) {
      count++;
      usedPx = 0;
    }
    usedPx += ownPx;
  }
  return count;
}
