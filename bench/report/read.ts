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
  return result as Result;
}

/** Keeps what was measured. */
export function rowsOf({ rows }: Result, scenario: string): Row[] {
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
