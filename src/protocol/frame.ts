import { ProtocolError } from '../errors.js';

/** Frame kinds: docs/protocol.md, section 3. */
export const EVENT = 1;
export const CALL = 2;
export const REPLY = 3;
export const ERROR = 4;
export const CANCEL = 5;
export const ITEM = 6;
export const END = 7;
export const CREDIT = 8;
export const STATE = 9;
export const PING = 10;
export const PONG = 11;
export const GOODBYE = 12;

/** Frame flags. */
export const MORE = 1;
export const META = 2;
export const REDELIVERED = 4;
export const LOAN = 8;

/** So that a PONG fits a record of the smallest ring. */
export const MAX_PING_BYTES = 1008;

/** Kind, flags and target share the second word of a record: the "tag". */
export function tagOf(kind: number, flags: number, target: number): number {
  return kind | (flags << 8) | (target << 16);
}

export function kindOf(tag: number): number {
  return tag & 0xff;
}

export function flagsOf(tag: number): number {
  return (tag >>> 8) & 0xff;
}

export function targetOf(tag: number): number {
  return tag >>> 16;
}

const kindNames = ['0', 'EVENT', 'CALL', 'REPLY', 'ERROR', 'CANCEL', 'ITEM', 'END', 'CREDIT', 'STATE', 'PING', 'PONG', 'GOODBYE'];

export function nameOfKind(kind: number): string {
  return kindNames[kind] ?? String(kind);
}

/** Which flags each kind may carry, in each direction; a kind that is missing is not allowed there. */
const flagsFromClient = new Map([
  [EVENT, MORE | META | REDELIVERED | LOAN],
  [CALL, MORE | META],
  [ERROR, MORE],
  [CANCEL, 0],
  [ITEM, MORE],
  [END, 0],
  [CREDIT, 0],
  [PING, 0],
  [PONG, 0],
]);
const flagsFromServer = new Map([
  [EVENT, MORE | META],
  [REPLY, MORE],
  [ERROR, MORE],
  [CANCEL, 0],
  [ITEM, MORE],
  [END, 0],
  [CREDIT, 0],
  [STATE, MORE],
  [PING, 0],
  [PONG, 0],
  [GOODBYE, 0],
]);

// As tables of 256 x 256 bits in spirit: one look-up by kind gives the forbidden flags, -1 forbids the kind.
function forbiddenFlags(allowed: Map<number, number>): Int16Array {
  const table = new Int16Array(256).fill(-1);
  for (const [kind, flags] of allowed) table[kind] = 0xff & ~flags;
  return table;
}

const forbiddenFromClient = forbiddenFlags(flagsFromClient);
const forbiddenFromServer = forbiddenFlags(flagsFromServer);

/** Throws ProtocolError unless the tag's kind, flags and target may come from this side. */
export function checkTag(tag: number, from: 'client' | 'server'): void {
  const forbidden = (from === 'client' ? forbiddenFromClient : forbiddenFromServer)[tag & 0xff] as number;
  if (forbidden < 0) throw new ProtocolError(`a ${from} must not send a frame of kind ${nameOfKind(kindOf(tag))}`);
  if ((flagsOf(tag) & forbidden) !== 0) {
    throw new ProtocolError(`a frame of kind ${nameOfKind(kindOf(tag))} must not carry flags=${flagsOf(tag)}`);
  }
  if (tag >>> 16 !== 0 && !hasTarget(kindOf(tag))) {
    throw new ProtocolError(`a frame of kind ${nameOfKind(kindOf(tag))} has no target, but carries ${targetOf(tag)}`);
  }
}

function hasTarget(kind: number): boolean {
  return kind === EVENT || kind === CALL || kind === STATE;
}

/** Throws ProtocolError if a frame carries more payload than its kind allows; for kinds other than messages. */
export function checkControlLength(tag: number, payloadLength: number): void {
  const kind = kindOf(tag);
  const allowed = kind === PING || kind === PONG ? MAX_PING_BYTES : 0;
  if (payloadLength > allowed)
    throw new ProtocolError(`a frame of kind ${nameOfKind(kind)} carries ${payloadLength} bytes, allowed are ${allowed}`);
}

/** Throws ProtocolError unless a CREDIT frame that came as a record grants something to a stream, `aux` read as a signed number. */
export function checkCredit(id: number, aux: number): void {
  if (id === 0) throw new ProtocolError('a released position came as a record');
  if (aux <= 0) throw new ProtocolError(`stream ${id} was granted ${aux >>> 0} bytes, which cannot be`);
}

/** The payload of an ERROR frame. */
export interface ErrorPayload {
  code: string;
  message: string;
  name?: string;
  stack?: string;
}
