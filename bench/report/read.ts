import { readFileSync } from 'node:fs';
import type { Result, Row } from '../result.js';
import type { Missing } from './chart.js';
import { conditionsOf, formatBytes, labelOf } from './labels.js';
import { complaintAbout } from './validate.js';

/** Reads a result file; what it throws says what is wrong with it. */
export function readResult(path: string): Result {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`can't read result=${path}: ${(error as Error).message}; "npm run bench -- --json ${path}" makes one`, {
      cause: error,
    });
  }
  let result: unknown;
  try {
    result = JSON.parse(text);
  } catch (error) {
    throw new Error(`result=${path} is no JSON: ${(error as Error).message}`, { cause: error });
  }
  const complaint = complaintAbout(result);
  if (complaint !== undefined) throw new Error(`result=${path} ${complaint}; "npm run bench -- --json ${path}" makes one`);
  return complete(result as Result);
}

/** Adds what results of an older suite do not have. */
function complete(result: Result): Result {
  return {
    ...result,
    rows: result.rows.map((row) => ({ ...row, opsPerSecRounds: row.opsPerSecRounds ?? [] })),
    verdicts: result.verdicts.map((verdict) => ({ ...verdict, placement: verdict.placement ?? 'free', rounds: verdict.rounds ?? [] })),
  };
}

/** Keeps what was measured, with the processes placed as the scenario places them: the held rows of the headline are a repetition. */
export function rowsOf(result: Result, scenario: string): Row[] {
  return placed(result, scenario).filter(({ placement }) => placement !== 'held');
}

/** Of the same scenario, those that were measured with a CPU for each side; where there are none, those that the scheduler placed. */
export function headlineRowsOf(result: Result, scenario: string): Row[] {
  const rows = placed(result, scenario).filter(({ placement }) => placement === 'held');
  return rows.length > 0 ? rows : rowsOf(result, scenario);
}

function placed({ rows }: Result, scenario: string): Row[] {
  return rows.filter((row) => row.scenario === scenario && row.status === 'ok');
}

/** What was to be measured, and was not. */
export function missingOf({ rows }: Result, isWanted: (row: Row) => boolean): Missing[] {
  return rows
    .filter((row) => row.status !== 'ok' && isWanted(row))
    .map((row) => ({
      what: [labelOf(row.transport), formatBytes(row.payloadBytes), conditionsOf(row)].filter(Boolean).join(', '),
      status: row.status,
    }));
}

export function transportsOf(rows: readonly Row[]): string[] {
  return [...new Set(rows.map(({ transport }) => transport))];
}
