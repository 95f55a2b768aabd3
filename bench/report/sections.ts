import type { Result } from '../result.js';
import type { Chart } from './chart.js';
import { conditionCharts, limitChart } from './condition-charts.js';
import { allCallsChart, costChart } from './cost-chart.js';
import { overheadChart } from './overhead-chart.js';
import { percentileChart } from './percentile-chart.js';
import { eventLatencyChart, gapChart, payloadCharts, rateChart } from './sweep-charts.js';

/** Everything the report draws, in the order in which a reader asks. */
export function chartsOf(result: Result): Chart[] {
  return [
    costChart(result),
    overheadChart(result),
    gapChart(result),
    rateChart(result),
    ...payloadCharts(result),
    allCallsChart(result),
    percentileChart(result),
    eventLatencyChart(result),
    ...conditionCharts(result),
    limitChart(result),
  ];
}
