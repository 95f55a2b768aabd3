import type { Result } from '../result.js';
import type { Chart } from './chart.js';
import { conditionCharts } from './condition-charts.js';
import { allCallsChart, costChart } from './cost-chart.js';
import { limitChart } from './limit-chart.js';
import { overheadChart } from './overhead-chart.js';
import { percentileChart } from './percentile-chart.js';
import { rateChart } from './rate-chart.js';
import { streamChart } from './stream-chart.js';
import { eventLatencyChart, gapChart, payloadChart } from './sweep-charts.js';

/** Everything the report draws, in the order in which a reader asks. */
export function chartsOf(result: Result): Chart[] {
  return [
    costChart(result),
    overheadChart(result),
    gapChart(result),
    rateChart(result),
    payloadChart(result),
    streamChart(result),
    allCallsChart(result),
    percentileChart(result),
    eventLatencyChart(result),
    ...conditionCharts(result),
    limitChart(result),
  ];
}
