import * as echarts from 'echarts';
import type { Environment } from '../environment.js';
import type { Chart, Option } from './chart.js';
import { escapeHtml } from './escape.js';
import { formatEnvironment } from './labels.js';
import type { Theme } from './theme.js';
import { light } from './theme.js';

// Without a canvas ECharts takes letters for narrower than most fonts have them, and names would touch each other.
echarts.setPlatformAPI({
  measureText: (text, font) => ({ width: [...text].length * 0.5 * Number.parseFloat(/[\d.]+(?=px)/.exec(font ?? '')?.[0] ?? '12') }),
});

const widthPx = 900;
const marginPx = 18;
const headPx = 50;
const footPx = 34;

/** The chart as a picture, on a card of its own, so that it can be read on a dark page and stands for itself. Undefined without rows. */
export function renderSvg({ option: optionFor, heightPx, title }: Chart, environment: Environment): string | undefined {
  const option = optionFor(light);
  if (!option) return undefined;
  const drawing = draw(option, widthPx - 2 * marginPx, heightPx.wide);
  return card(drawing, title, formatEnvironment(environment), headPx + heightPx.wide + footPx, light);
}

function draw(option: Option, drawnWidthPx: number, heightPx: number): string {
  const chart = echarts.init(null, undefined, { renderer: 'svg', ssr: true, width: drawnWidthPx, height: heightPx });
  try {
    chart.setOption(option);
    return stableIds(chart.renderToSVGString());
  } finally {
    chart.dispose();
  }
}

function card(drawing: string, title: string, source: string, heightPx: number, theme: Theme): string {
  const text = (y: number, px: number, colour: string, weight: number, words: string) =>
    `<text x="${marginPx + 6}" y="${y}" font-size="${px}" font-weight="${weight}" fill="${colour}" font-family="system-ui, sans-serif">${escapeHtml(words)}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${widthPx}" height="${heightPx}" viewBox="0 0 ${widthPx} ${heightPx}" role="img">`,
    `<title>${escapeHtml(title)}</title>`,
    `<rect x="0.5" y="0.5" width="${widthPx - 1}" height="${heightPx - 1}" rx="10" fill="${theme.background}" stroke="${theme.line}"/>`,
    text(32, 17, theme.text, 600, title),
    drawing.replace('<svg ', `<svg x="${marginPx}" y="${headPx}" `),
    text(heightPx - 14, 11, theme.muted, 400, source),
    '</svg>\n',
  ].join('\n');
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
