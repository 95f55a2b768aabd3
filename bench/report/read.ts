import { readFileSync } from 'node:fs';
import type { Result } from '../result.js';

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
  let result: Partial<Result> | null;
  try {
    result = JSON.parse(text) as Partial<Result> | null;
  } catch (error) {
    throw new Error(`result=${path} is no JSON: ${(error as Error).message}`, { cause: error });
  }
  if (result?.schema !== 1) throw new Error(`result=${path} has schema=${result?.schema}; this report reads schema 1`);
  if (!Array.isArray(result.rows) || !Array.isArray(result.verdicts) || !Array.isArray(result.overhead) || !result.environment) {
    throw new Error(`result=${path} is not whole: it needs environment, rows, verdicts and overhead`);
  }
  return result as Result;
}

/** Keeps what was measured. */
export function rowsOf({ rows }: Result, scenario: string): Result['rows'] {
  return rows.filter((row) => row.scenario === scenario && row.status === 'ok');
}
