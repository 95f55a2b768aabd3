import { type Contract, type Definitions, type MessageDefinition, messagesOf } from './contract.js';
import { resolveCodec } from './protocol/codec.js';
import { CALL, EVENT, tagOf } from './protocol/frame.js';
import type { NameEntry } from './protocol/names.js';
import type { PushFormat } from './session/client-pushes.js';
import { NOTHING } from './session/frame-writer.js';
import type { ItemFormat } from './session/item-sender.js';
import type { Target } from './session/target.js';
import { checkedDecoding, checkOf } from './validation.js';

/** A contract as a client works with it. */
export interface ClientNames {
  /** As HELLO tells it: a name's index is its place here. */
  readonly table: NameEntry[];
  /** What the client sends, by name. */
  readonly targets: ReadonlyMap<string, Target>;
  /** What the server sends unasked, by index. */
  readonly pushes: ReadonlyMap<number, PushFormat>;
  formatOf(target: Target): ItemFormat;
}

export function defineNames({ definitions }: Contract<Definitions>, maxMessageBytes: number): ClientNames {
  const table: NameEntry[] = [];
  const targets = new Map<string, Target>();
  const pushes = new Map<number, PushFormat>();
  for (const [index, [name, definition]] of messagesOf(definitions).entries()) {
    const codec = resolveCodec(definition.codec);
    table.push({ name, kind: definition.kind, codec: codec.name });
    if (definition.kind === 'state' || definition.kind === 'broadcast') {
      const check = checkOf(definition.output, `${definition.kind} "${name}"`);
      pushes.set(index, {
        name,
        kind: definition.kind,
        codec,
        default: definition.kind === 'state' ? definition.default : undefined,
        check,
      });
    } else {
      targets.set(name, targetOf(name, index, definition));
    }
  }
  return { table, targets, pushes, formatOf: ({ name, codec, checkItem }) => ({ name, codec, maxMessageBytes, check: checkItem }) };
}

type Sent = Exclude<MessageDefinition, { kind: 'state' | 'broadcast' }>;

function targetOf(name: string, index: number, definition: Sent): Target {
  const isEvent = definition.kind === 'event';
  const hasAnswer = definition.kind === 'method' || definition.kind === 'upload';
  return {
    name,
    kind: definition.kind,
    tag: tagOf(isEvent ? EVENT : CALL, 0, index),
    codec: checkedDecoding(resolveCodec(definition.codec), hasAnswer ? checkOf(definition.output, `the answer to "${name}"`) : undefined),
    checkItem: hasAnswer ? undefined : checkOf(definition.output, `an item of "${name}"`),
    opening: NOTHING,
    isIdempotent: definition.kind === 'method' && definition.idempotent,
    overflow: isEvent ? definition.overflow : 'drop',
    waitMs: isEvent ? definition.waitMs : 0,
    lingerMs: isEvent ? definition.lingerMs : 0,
  };
}
