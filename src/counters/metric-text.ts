import { ProtocolError } from '../errors.js';
import { MAX_BUCKETS, MAX_HELP_LENGTH, MAX_LABEL_LENGTH, MAX_LABELS, type MetricText } from './layout.js';

/** Checks the texts of a client's entries, which must be in private memory already. */

const MAX_NAME_LENGTH = 256;
const kinds: readonly unknown[] = ['counter', 'gauge', 'histogram'];

export function parseMetric(text: Uint8Array): MetricText {
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null) throw malformed('a metric is not an object');
  const { name, kind, labels, buckets, help, unit } = value as Record<string, unknown>;
  if (!isText(name, MAX_NAME_LENGTH) || name.length === 0) throw malformed('a metric has no name');
  if (!kinds.includes(kind)) throw malformed(`"${name}" is of an unknown kind`);
  if (!Array.isArray(labels) || labels.length > MAX_LABELS || !labels.every((label) => isText(label, MAX_LABEL_LENGTH)))
    throw malformed(`the labels of "${name}" are not names`);
  if (new Set(labels).size !== labels.length) throw malformed(`"${name}" has a label twice`);
  if ((kind === 'histogram') !== isBounds(buckets)) throw malformed(`"${name}" has wrong buckets`);
  if (!isText(help, MAX_HELP_LENGTH) || !isText(unit, MAX_LABEL_LENGTH)) throw malformed(`"${name}" has no help or unit`);
  const metric = { name, kind: kind as MetricText['kind'], labels, help, unit };
  return kind === 'histogram' ? { ...metric, buckets: buckets as number[] } : metric;
}

export function parseValues(text: Uint8Array, count: number): string[] {
  const values = parseJson(text);
  if (!Array.isArray(values) || values.length !== count || !values.every((value) => isText(value, MAX_LABEL_LENGTH)))
    throw malformed(`a series has other labels than the ${count} of its metric`);
  return values;
}

function parseJson(text: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(text.buffer, text.byteOffset, text.length).toString('utf8'));
  } catch {
    throw malformed('an entry is not JSON');
  }
}

function isText(value: unknown, maxLength: number): value is string {
  return typeof value === 'string' && value.length <= maxLength;
}

function isBounds(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= MAX_BUCKETS &&
    value.every((bound, index) => typeof bound === 'number' && Number.isFinite(bound) && (index === 0 || bound > value[index - 1]))
  );
}

function malformed(what: string): ProtocolError {
  return new ProtocolError(`the client's counters are malformed: ${what}`);
}
