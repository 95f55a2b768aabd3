import { appendFileSync } from 'node:fs';
import Table from 'cli-table3';
import type { CheckResult } from './check.js';
import type { Decision } from './decide.js';
import type { Floors } from './floors.js';
import { median } from './statistics.js';

/** The gate's whole finding. */
export interface Finding {
  base: string;
  ratio: number;
  alpha: number;
  result: CheckResult;
  floors: Floors | undefined;
}

const heads = ['metric', 'base us', 'this us', 'ratio', '95 %', 'p', 'pairs (repeated)', 'verdict'];

export function formatFinding(finding: Finding): string {
  const table = new Table({ head: heads, style: { head: [], border: [], compact: true } });
  table.push(...cells(finding.result));
  return [table.toString(), ...notes(finding)].join('\n');
}

export function formatMarkdown(finding: Finding): string {
  const row = (values: readonly string[]) => `| ${values.join(' | ')} |`;
  return [
    '### pillion: this build against its base',
    '',
    row(heads),
    row(heads.map(() => '---')),
    ...cells(finding.result).map(row),
    '',
    ...notes(finding).map((note) => `- ${note}`),
    '',
  ].join('\n');
}

/** For github-action-benchmark, tool `customSmallerIsBetter`. */
export function githubBenchmark({ result }: Finding): { name: string; unit: string; value: number; range: string; extra: string }[] {
  return result.series.map(({ metric, pairs }, index) => {
    const times = pairs.map(({ thisUs }) => thisUs);
    const { medianRatio, p } = result.decisions[index] as Decision;
    const range = `${digits(Math.min(...times))} to ${digits(Math.max(...times))}`;
    return {
      name: metric,
      unit: 'us',
      value: Number(digits(median(times))),
      range,
      extra: `ratio to base ${digits(medianRatio)}, p ${digits(p)}`,
    };
  });
}

export function summariseOnGitHub(finding: Finding): void {
  const file = process.env['GITHUB_STEP_SUMMARY'];
  if (file) appendFileSync(file, formatMarkdown(finding));
}

function cells({ decisions, series, regressions }: CheckResult): string[][] {
  return decisions.map(({ metric, medianRatio, interval, p, verdict }, index) => {
    const { pairs, repeated } = series[index] as CheckResult['series'][number];
    const us = (value: (pair: (typeof pairs)[number]) => number) => digits(median(pairs.map(value)));
    const isConfirmed = regressions.includes(metric);
    const shown = verdict === 'slower' && !isConfirmed ? 'fine (a second series did not confirm it)' : verdict;
    return [
      metric,
      us(({ baseUs }) => baseUs),
      us(({ thisUs }) => thisUs),
      digits(medianRatio),
      `${digits(interval[0])} to ${digits(interval[1])}`,
      digits(p),
      `${pairs.length} (${repeated})`,
      shown,
    ];
  });
}

function notes({ base, ratio, alpha, result, floors }: Finding): string[] {
  const undecided = result.decisions.filter(({ verdict }) => verdict === 'undecided').map(({ metric }) => metric);
  return [
    `base: ${base}; slower means: p <= ${alpha} for all metrics together, median ratio > ${ratio}, and both again in a second series.`,
    ...(undecided.length > 0 ? [`undecided: ${undecided.join(', ')}: the noise of this machine could hide a ratio of ${ratio}.`] : []),
    ...(floors?.floors ?? []).map(
      ({ what, median: value, floor, verdict }) => `floor: ${what} ${digits(value)}, at least ${floor}: ${verdict}`,
    ),
    ...(floors?.reason === undefined ? [] : [`floors are not judged: ${floors.reason}`]),
    result.regressions.length === 0 ? 'no regression' : `REGRESSION: ${result.regressions.join(', ')}`,
  ];
}

function digits(value: number | null): string {
  return value === null ? '-' : String(Number(value.toPrecision(3)));
}
