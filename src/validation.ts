import { messageOf, PillionError } from './errors.js';
import type { Encoded, PayloadCodec } from './protocol/codec.js';
import type { Block } from './ring/copy.js';
import { ignore, isThenable } from './thenable.js';

/**
 * What a schema of any library looks like that follows [Standard Schema](https://standardschema.dev), version 1: zod, valibot, arktype and others. `Input` is what the
 * sender gives, `Output` what the schema makes of it for the receiver.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string;
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
      }[];
    };

/** What the sender may give, and what the receiver gets. */
export type SchemaInput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input'];
export type SchemaOutput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output'];

/** Checks a value from the peer: returns what the receiver gets, or throws what is wrong with it. */
export type Check = (value: unknown) => unknown;

/** Values of a large array may all be wrong: so many are named. */
const MAX_NAMED_ISSUES = 3;
const MAX_TEXT = 500;

/** What of a definition's `option` can be used as a schema. Throws if it cannot, or answers with a promise: messages are handled in their order, and none may wait for a check. */
export function checkedSchema(option: string, schema: unknown): StandardSchema {
  const standard = (schema as StandardSchema | null | undefined)?.['~standard'];
  if (typeof standard?.validate !== 'function' || standard.version !== 1) {
    throw new PillionError('ERR_PILLION_INVALID_ARGUMENT', `${option} is not a Standard Schema (https://standardschema.dev), version 1`);
  }
  let probe: unknown;
  try {
    probe = standard.validate(undefined);
  } catch {
    // Not what it should do, but whether it can be used shows with the first value.
  }
  if (isThenable(probe)) {
    ignore(probe);
    throw new PillionError(
      'ERR_PILLION_INVALID_ARGUMENT',
      `${option} is an asynchronous schema: values are checked while they are received`,
    );
  }
  return schema as StandardSchema;
}

/** The check of a schema; `what` names the value in errors: `"verify"`, `the answer to "verify"`. */
export function checkOf(schema: StandardSchema | undefined, what: string): Check | undefined {
  if (schema === undefined) return undefined;
  return (value) => {
    let result: unknown;
    try {
      result = schema['~standard'].validate(value);
    } catch (cause) {
      throw invalidValue(what, `its schema failed: ${messageOf(cause)}`, cause);
    }
    if (isThenable(result)) {
      ignore(result);
      throw invalidValue(what, 'its schema answered with a promise, but values are checked while they are received');
    }
    return outcome(what, result);
  };
}

function outcome(what: string, result: unknown): unknown {
  let problem: string | null;
  try {
    const { issues } = result as SchemaResult<unknown>;
    if (!issues) return (result as { value: unknown }).value;
    problem = describeIssues(issues as unknown[]);
  } catch (cause) {
    throw invalidValue(what, `its schema answered with nonsense: ${messageOf(cause)}`, cause);
  }
  throw invalidValue(what, problem);
}

function describeIssues(issues: readonly unknown[]): string {
  const named = issues.slice(0, MAX_NAMED_ISSUES).map((issue) => {
    const { message, path = [] } = issue as { message: unknown; path?: readonly unknown[] };
    const place = path.map(pathStep).join('').replace(/^\./, '').slice(0, MAX_TEXT);
    const text = String(message).slice(0, MAX_TEXT);
    return place === '' ? text : `${place}: ${text}`;
  });
  const more = issues.length - named.length;
  return (named.join('; ') || 'not accepted by its schema') + (more > 0 ? `; and ${more} more` : '');
}

function pathStep(step: unknown): string {
  const key = typeof step === 'object' && step !== null ? (step as { key: unknown }).key : step;
  return typeof key === 'number' ? `[${key}]` : `.${String(key)}`;
}

function invalidValue(what: string, problem: string, cause?: unknown): PillionError {
  return new PillionError('ERR_PILLION_VALIDATION', `${what}: ${problem}`, cause === undefined ? undefined : { cause });
}

/** A codec whose values are checked after they were decoded, so that whoever decodes needs to know nothing of schemas. */
class CheckedCodec implements PayloadCodec {
  readonly name: string;
  private readonly codec: PayloadCodec;
  private readonly check: Check;

  constructor(codec: PayloadCodec, check: Check) {
    this.name = codec.name;
    this.codec = codec;
    this.check = check;
  }

  encode(value: unknown): Encoded {
    return this.codec.encode(value);
  }

  decode(source: Block, offset: number, length: number): unknown {
    return this.check(this.codec.decode(source, offset, length));
  }

  decodeOwned(bytes: Uint8Array): unknown {
    return this.check(this.codec.decodeOwned(bytes));
  }
}

/** The codec as it is if nothing is to be checked. */
export function checkedDecoding(codec: PayloadCodec, check: Check | undefined): PayloadCodec {
  return check === undefined ? codec : new CheckedCodec(codec, check);
}
