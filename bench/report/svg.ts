import * as echarts from 'echarts';
import type { Chart } from './chart.js';
import { light } from './theme.js';

const widthPx = 900;

/** The chart as a picture, on a card of its own, so that it can be read on a dark page as well. Undefined without rows. */
export function renderSvg({ option: optionFor, heightPx }: Chart): string | undefined {
  const option = optionFor(light);
  if (!option) return undefined;
  const chart = echarts.init(null, undefined, { renderer: 'svg', ssr: true, width: widthPx, height: heightPx });
  try {
    chart.setOption({ ...option, backgroundColor: light.background });
    return `${stableIds(chart.renderToSVGString())}\n`;
  } finally {
    chart.dispose();
  }
}

/** ECharts numbers its charts and elements through one process; counted anew, equal results give equal files. */
function stableIds(svg: string): string {
  const names = new Map<string, string>();
  return svg.replaceAll(/\bzr\d+-[\w-]+/g, (name) => {
    const known = names.get(name) ?? `z${names.size}`;
    names.set(name, known);
    return known;
  });
}
