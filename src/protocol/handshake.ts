import { COUNTER_BYTES_STEP, MAX_COUNTER_BYTES, MIN_COUNTER_BYTES } from '../counters/layout.js';
import { PillionError, ProtocolError } from '../errors.js';
import { MAX_ARENA_BYTES, MAX_RING_BYTES, MIN_RING_BYTES } from '../ring/layout.js';
import { type NameEntry, parseNames } from './names.js';

/** docs/protocol.md, section 1: header and JSON bodies of the handshake. Pure; who moves the bytes is in channel/. */

export const PROTOCOL_VERSION_MIN = 1;
export const PROTOCOL_VERSION_MAX = 1;
export const HANDSHAKE_HEADER_BYTES = 16;
export const MAX_HANDSHAKE_BODY_BYTES = 65536;

export const HELLO = 1;
export const WELCOME = 2;
export const REFUSE = 3;

const MAGIC = 0x4e4c4950; // "PILN" in memory order

export type TransportName = 'shm' | 'socket';

export interface HandshakeHeader {
  message: number;
  versionMin: number;
  versionMax: number;
  bodyLength: number;
}

export interface Hello {
  contract: string;
  clientId: string;
  names: NameEntry[];
  transports: TransportName[];
  ringBytes: [number, number];
  /** 0 if it is missing. */
  arenaBytes?: number;
  maxMessageBytes: number;
  features: string[];
  pid: number;
  runtime: string;
  noShmReason?: string;
  /** The memory of the client's counters, whose descriptor comes along. */
  counters?: { bytes: number };
  /** Why a client that has counters offers no memory. */
  noCountersReason?: string;
  takeover?: boolean;
}

export interface Welcome {
  contract: string;
  transport: TransportName;
  reason?: string;
  /** Why the server does not read the counters, if the client offered them. */
  noCountersReason?: string;
  names: NameEntry[];
  maxMessageBytes: number;
  features: string[];
  serverId: string;
  pid: number;
  runtime: string;
}

export interface Refusal {
  code: string;
  message: string;
}

/** What REFUSE may say; for any other failure the server just hangs up. */
export const refusalCodes: ReadonlySet<string> = new Set([
  'ERR_PILLION_VERSION',
  'ERR_PILLION_CONTRACT',
  'ERR_PILLION_FORBIDDEN',
  'ERR_PILLION_BAD_SEGMENT',
  'ERR_PILLION_BUSY',
  'ERR_PILLION_PROTOCOL',
]);

/** Header and body in one buffer. Throws if the body would be longer than the protocol allows. */
export function encodeHandshake(message: number, body: Hello | Welcome | Refusal, version?: number): Buffer {
  const text = Buffer.from(JSON.stringify(body));
  if (text.length > MAX_HANDSHAKE_BODY_BYTES) {
    throw new PillionError(
      'ERR_PILLION_TOO_LARGE',
      `the handshake needs ${text.length} bytes, allowed are ${MAX_HANDSHAKE_BODY_BYTES}: the contract has too many or too long names`,
    );
  }
  const header = Buffer.alloc(HANDSHAKE_HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt8(message, 4);
  header.writeUInt16LE(version ?? PROTOCOL_VERSION_MIN, 6);
  header.writeUInt16LE(version ?? PROTOCOL_VERSION_MAX, 8);
  header.writeUInt32LE(text.length, 12);
  return Buffer.concat([header, text]);
}

/** Checks the fixed part of a peer's message. Throws ProtocolError before anything is allocated by its claims. */
export function parseHandshakeHeader(bytes: Buffer): HandshakeHeader {
  if (bytes.readUInt32LE(0) !== MAGIC) throw new ProtocolError('the peer does not speak the pillion protocol (wrong magic number)');
  const header = {
    message: bytes.readUInt8(4),
    versionMin: bytes.readUInt16LE(6),
    versionMax: bytes.readUInt16LE(8),
    bodyLength: bytes.readUInt32LE(12),
  };
  if (bytes.readUInt8(5) !== 0 || bytes.readUInt16LE(10) !== 0) throw new ProtocolError('a reserved field of the handshake is not 0');
  if (header.bodyLength > MAX_HANDSHAKE_BODY_BYTES) {
    throw new ProtocolError(`the peer's handshake claims ${header.bodyLength} bytes, allowed are ${MAX_HANDSHAKE_BODY_BYTES}`);
  }
  return header;
}

/** The highest version both sides know, or an error that names both ranges. */
export function chooseVersion(header: HandshakeHeader): number {
  const version = Math.min(header.versionMax, PROTOCOL_VERSION_MAX);
  if (version < header.versionMin || version < PROTOCOL_VERSION_MIN) {
    throw new PillionError(
      'ERR_PILLION_VERSION',
      `no protocol version in common: this side speaks ${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION_MAX}, the peer ${header.versionMin} to ${header.versionMax}`,
    );
  }
  return version;
}

export function parseHello(body: Buffer): Hello {
  const fields = parseBody(body);
  const ringBytes = fields.ringBytes;
  if (!Array.isArray(ringBytes) || ringBytes.length !== 2 || !ringBytes.every(isRingCapacity)) {
    throw malformed(`ringBytes=${JSON.stringify(ringBytes)} are not two powers of two from ${MIN_RING_BYTES} to ${MAX_RING_BYTES}`);
  }
  const arenaBytes = fields.arenaBytes === undefined ? 0 : count(fields, 'arenaBytes');
  if (arenaBytes > MAX_ARENA_BYTES) throw malformed(`arenaBytes=${arenaBytes} is more than ${MAX_ARENA_BYTES}`);
  const clientId = text(fields, 'clientId', 64);
  if (clientId.length === 0) throw malformed('clientId is empty');
  return {
    contract: text(fields, 'contract', 256),
    clientId,
    names: parseNames(fields.names),
    transports: strings(fields, 'transports').filter((name) => name === 'shm' || name === 'socket') as TransportName[],
    ringBytes: [ringBytes[0] as number, ringBytes[1] as number],
    ...(arenaBytes > 0 ? { arenaBytes } : {}),
    maxMessageBytes: count(fields, 'maxMessageBytes'),
    features: strings(fields, 'features'),
    pid: count(fields, 'pid'),
    runtime: text(fields, 'runtime', 256),
    ...reason(fields, 'noShmReason'),
    ...countersOffer(fields),
    ...reason(fields, 'noCountersReason'),
    takeover: fields.takeover === true,
  };
}

export function parseWelcome(body: Buffer): Welcome {
  const fields = parseBody(body);
  const transport = fields.transport;
  if (transport !== 'shm' && transport !== 'socket') throw malformed(`transport=${JSON.stringify(transport)} is unknown`);
  return {
    contract: text(fields, 'contract', 256),
    transport,
    ...reason(fields, 'reason'),
    ...reason(fields, 'noCountersReason'),
    names: parseNames(fields.names),
    maxMessageBytes: count(fields, 'maxMessageBytes'),
    features: strings(fields, 'features'),
    serverId: text(fields, 'serverId', 64),
    pid: count(fields, 'pid'),
    runtime: text(fields, 'runtime', 256),
  };
}

export function parseRefusal(body: Buffer): Refusal {
  const fields = parseBody(body);
  return { code: text(fields, 'code', 64), message: text(fields, 'message', 4096) };
}

type Fields = Record<string, unknown>;

function parseBody(body: Buffer): Fields {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new PillionError('ERR_PILLION_PROTOCOL', "the peer's handshake is malformed: its body is not JSON", { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('its body is not an object');
  return value as Fields;
}

function text(fields: Fields, name: string, maxLength: number): string {
  const value = fields[name];
  if (typeof value !== 'string' || value.length > maxLength) throw malformed(`${name} is not a string of at most ${maxLength} characters`);
  return value;
}

function reason(fields: Fields, name: string): Record<string, string> {
  const value = fields[name];
  return typeof value === 'string' ? { [name]: value.slice(0, 1024) } : {};
}

function countersOffer({ counters }: Fields): Pick<Hello, 'counters'> {
  if (counters === undefined) return {};
  const bytes = count((counters ?? {}) as Fields, 'bytes');
  if (bytes < MIN_COUNTER_BYTES || bytes > MAX_COUNTER_BYTES || bytes % COUNTER_BYTES_STEP !== 0) {
    throw malformed(`counters.bytes=${bytes} is not a multiple of ${COUNTER_BYTES_STEP} from ${MIN_COUNTER_BYTES} to ${MAX_COUNTER_BYTES}`);
  }
  return { counters: { bytes } };
}

function count(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed(`${name} is not a number from 0`);
  return value;
}

function strings(fields: Fields, name: string): string[] {
  const value = fields[name];
  if (!Array.isArray(value) || value.length > 64 || !value.every((item) => typeof item === 'string')) {
    throw malformed(`${name} is not a short list of strings`);
  }
  return value as string[];
}

export function isRingCapacity(value: unknown): boolean {
  return (
    typeof value === 'number' &&
    Number.isInteger(value) &&
    value >= MIN_RING_BYTES &&
    value <= MAX_RING_BYTES &&
    (value & (value - 1)) === 0
  );
}

function malformed(what: string): PillionError {
  return new PillionError('ERR_PILLION_PROTOCOL', `the peer's handshake is malformed: ${what}`);
}
