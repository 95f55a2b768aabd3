import type { Result, Row } from '../result.js';
import type { Chart, Option } from './chart.js';
import { axisStyle, categoryAxis, frame, logAxis } from './chart.js';
import { colourOf, conditionsOf, formatNumber, labelOf } from './labels.js';
import { rowsOf } from './read.js';
import { transportsOf } from './sweep-charts.js';
import type { Theme } from './theme.js';

export function conditionCharts(result: Result): Chart[] {
  const undisturbed = rowsOf(result, 'clients').filter(({ clients }) => clients === 1);
  const load = rowsOf(result, 'load');
  return [
    grouped(
      'clients',
      'Many clients',
      'Connections of one app, each with a call outstanding all the time: latency contains waiting for the others. Bars: median; pale: p99.',
      rowsOf(result, 'clients'),
      (row) => `${row.clients}`,
    ),
    grouped(
      'disturbed',
      'A busy machine, a busy app',
      'One other process per CPU wants all of it; or the app’s own event loop is blocked for 1 ms out of every 2, at 1,000 calls a second. Bars: median; pale: p99.',
      load.length > 0 ? [...undisturbed, ...load, ...rowsOf(result, 'busy')] : [],
      (row) => conditionsOf(row) || 'undisturbed',
    ),
    grouped(
      'placement',
      'Where the scheduler puts them',
      'Both sides on one CPU, or each pinned to its own. Sockets are several times as fast together, where a wake-up is a switch; spinning works only apart. Adaptive pillion does not spin when it is pinned to a single CPU. Bars: median; pale: p99.',
      [...rowsOf(result, 'placement')],
      (row) => row.placement,
    ),
  ];
}

function grouped(id: string, title: string, caption: string, rows: readonly Row[], place: (row: Row) => string): Chart {
  return { id, title, caption, heightPx: 380, option: (theme) => (rows.length > 0 ? groups(rows, place, theme) : undefined) };
}

function groups(rows: readonly Row[], place: (row: Row) => string, theme: Theme): Option {
  const places = [...new Set(rows.map(place))];
  const series = transportsOf(rows).flatMap((transport) => {
    const own = places.map((where) => rows.find((row) => row.transport === transport && place(row) === where));
    const bar = (suffix: string, values: (number | null)[], opacity: number) => ({
      type: 'bar',
      name: labelOf(transport) + suffix,
      data: values,
      barMaxWidth: 26,
      itemStyle: { color: colourOf(transport), opacity },
    });
    return [
      bar(
        '',
        own.map((row) => row?.p50Us ?? null),
        1,
      ),
      bar(
        ' p99',
        own.map((row) => row?.p99Us ?? null),
        0.4,
      ),
    ];
  });
  return { ...frame(theme), xAxis: categoryAxis(theme, '', places), yAxis: logAxis(theme, 'µs'), series };
}

/** How far pillion is from what the machine allows. */
export function limitChart({ rows }: Result): Chart {
  const related = rows.filter(
    ({ timesLimit, scenario }) =>
      timesLimit !== null && ['call', 'send', 'call-object', 'call-sync', 'one-way', 'gap-sweep', 'payload-sweep'].includes(scenario),
  );
  const labels = related.map((row) =>
    [row.scenario, labelOf(row.transport), row.scenario === 'payload-sweep' ? `${row.payloadBytes} B` : conditionsOf(row)]
      .filter(Boolean)
      .join(', '),
  );
  return {
    id: 'limits',
    title: 'Times the physical limit',
    caption:
      'Limits come from C++ programs of the same run: a framed ring between two spinning processes, a stream through it, the four copies of a large call, the wake-up of a sleeper. 1 is what this machine allows.',
    heightPx: 60 + 22 * Math.max(related.length, 4),
    option: (theme) =>
      related.length === 0
        ? undefined
        : {
            ...frame(theme),
            legend: { show: false },
            grid: { left: 12, right: 60, top: 12, bottom: 36, containLabel: true },
            xAxis: { ...logAxis(theme, 'times the limit', 'x'), min: 0.1, startValue: 0.1 },
            yAxis: {
              type: 'category',
              inverse: true,
              data: labels,
              ...axisStyle(theme),
              axisLabel: { color: theme.text, width: 230, overflow: 'truncate' },
            },
            series: [
              {
                type: 'bar',
                name: 'times the limit',
                barMaxWidth: 14,
                data: related.map(({ timesLimit, transport }) => ({
                  value: timesLimit,
                  itemStyle: { color: colourOf(transport) },
                  label: { show: true, position: 'right', formatter: formatNumber(timesLimit), color: theme.text },
                })),
              },
            ],
          },
  };
}
