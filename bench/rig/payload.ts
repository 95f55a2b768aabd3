/**
 * What travels, and the proof that it arrived: every payload carries a sequence number that both sides check, and a
 * reply differs from its request, so nothing passes by handing back untouched memory.
 */

export interface LogLine {
  level: number;
  time: number;
  msg: string;
  route: string;
  ms: number;
}

export interface Lookup {
  id: number;
  token: string;
  scope: string;
}

export interface Account {
  id: number;
  name: string;
  roles: string[];
  active: boolean;
}

/** Of the items of one stream, by their numbers. */
export interface Range {
  first: number;
  count: number;
}

export type Mark = number;
export const requestMark: Mark = 0x2545f491;
export const replyMark: Mark = 0x6c8e9cf5;

/** Large payloads are marked once per this many bytes; small ones in their first and last word only. */
const strideBytes = 64 * 1024;
/** Behind the sequence number lies the planned time of an event, in the microseconds of the shared clock; 0: there is none. */
const plannedOffset = 4;

/** The shortest payload that has room for sequence number, planned time and check word. */
export const leastPayloadBytes = 16;

/** Not from Buffer's pool: its neighbours would share the cache lines. */
export function blankPayload(length: number): Uint8Array {
  return Buffer.alloc(length, 0x70);
}

export function stamp(bytes: Uint8Array, sequence: number, mark: Mark): void {
  const last = bytes.length - 4;
  writeWord(bytes, 0, sequence);
  for (let offset = strideBytes; offset < last; offset += strideBytes) {
    writeWord(bytes, offset, sequence ^ mark ^ offset);
  }
  writeWord(bytes, last, sequence ^ mark);
}

/** Throws when `bytes` is not what `stamp` made of a payload of `length` bytes. */
export function verify(bytes: Uint8Array, length: number, sequence: number, mark: Mark): void {
  if (bytes.length !== length) throw new Error(`payload has ${bytes.length} bytes instead of ${length}`);
  const last = length - 4;
  let intact = readWord(bytes, 0) === (sequence | 0) && readWord(bytes, last) === (sequence ^ mark);
  for (let offset = strideBytes; offset < last; offset += strideBytes) {
    intact &&= readWord(bytes, offset) === (sequence ^ mark ^ offset);
  }
  if (!intact) throw new Error(`payload ${sequence} arrived out of order or damaged`);
}

/** Behind sequence number and check word. */
const frameHeadBytes = 8;

/** Writes every byte, as an encoder or a camera would. */
export function fillFrame(frame: Uint8Array, sequence: number): void {
  writeWord(frame, 0, sequence);
  writeWord(frame, 4, sequence ^ requestMark);
  frame.fill(contentOf(sequence), frameHeadBytes);
}

/** Reads every byte: a frame whose content equals itself by one byte further on consists of one value. */
export function verifyFrame(frame: Uint8Array, length: number, sequence: number): void {
  if (frame.length !== length) throw new Error(`frame has ${frame.length} bytes instead of ${length}`);
  const content = frame.subarray(frameHeadBytes);
  const intact =
    readWord(frame, 0) === (sequence | 0) &&
    readWord(frame, 4) === (sequence ^ requestMark) &&
    content[0] === contentOf(sequence) &&
    Buffer.compare(content.subarray(1), content.subarray(0, -1)) === 0;
  if (!intact) throw new Error(`frame ${sequence} arrived out of order or damaged`);
}

/** Never what a fresh page contains. */
function contentOf(sequence: number): number {
  return 1 + (sequence % 255);
}

export function sequenceOf(bytes: Uint8Array): number {
  return readWord(bytes, 0) >>> 0;
}

export function stampPlanned(bytes: Uint8Array, plannedUs: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setFloat64(plannedOffset, plannedUs, true);
}

export function plannedOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(plannedOffset, true);
}

/** The line's `time` is its sequence number in disguise. */
const firstTime = 1_700_000_000_000;

export function makeLine(sequence: number): LogLine {
  return { level: 30, time: firstTime + sequence, msg: 'order accepted', route: '/api/orders', ms: 1.25 };
}

export function verifyLine(line: LogLine, sequence: number): void {
  const intact =
    line.time === firstTime + sequence &&
    line.level === 30 &&
    line.msg === 'order accepted' &&
    line.route === '/api/orders' &&
    line.ms === 1.25;
  if (!intact) throw new Error(`line ${sequence} arrived out of order or damaged`);
}

export function sequenceOfLine(line: LogLine): number {
  return line.time - firstTime;
}

export function makeLookup(id: number): Lookup {
  return { id, token: 'b3BlbiBzZXNhbWU', scope: 'orders' };
}

export function makeAccount(request: Lookup): Account {
  if (request.token !== 'b3BlbiBzZXNhbWU' || request.scope !== 'orders') {
    throw new Error(`lookup ${request.id} arrived damaged`);
  }
  return { id: request.id, name: 'Ada Lovelace', roles: ['buyer', 'admin'], active: true };
}

export function verifyAccount(account: Account, id: number): void {
  const intact = account.id === id && account.name === 'Ada Lovelace' && account.roles[1] === 'admin' && account.active;
  if (!intact) throw new Error(`account ${id} arrived out of order or damaged`);
}

// Byte by byte, because a payload may start at any address.
function writeWord(bytes: Uint8Array, offset: number, word: number): void {
  bytes[offset] = word;
  bytes[offset + 1] = word >>> 8;
  bytes[offset + 2] = word >>> 16;
  bytes[offset + 3] = word >>> 24;
}

function readWord(bytes: Uint8Array, offset: number): number {
  const low = (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8);
  return low | ((bytes[offset + 2] as number) << 16) | ((bytes[offset + 3] as number) << 24);
}
