import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getSystemErrorName } from 'node:util';
import { messageOf, PillionError } from './errors.js';

/**
 * The native addon: where it is found, and the types of what it exports. native/ documents each class at its declaration.
 */

/**
 * A mapped segment. `buffer` is page 0, ring 0 twice, ring 1 twice; it has length 0 after `close`. The arena is a buffer of its own: `closeRings` leaves it, and its
 * addresses stay reserved as long as this object is reachable, for threads that still work on a view.
 */
export interface NativeSegment {
  readonly buffer: ArrayBuffer;
  readonly arena: ArrayBuffer | undefined;
  readonly descriptor: number;
  readonly headerBytes: number;
  readonly capacities: [number, number];
  closeRings(): void;
  close(): void;
}

/** The memory of a client's counters. The buffer of one that was mapped must not be written to: that ends the process. Length 0 after `close`. */
export interface NativeCounterMemory {
  readonly buffer: ArrayBuffer;
  readonly descriptor: number;
  close(): void;
}

export interface Credentials {
  pid: number;
  uid: number;
  gid: number;
}

/** A Unix stream socket. Numbers below 0 are negated errno values. */
export interface NativeSocket {
  accept(): NativeSocket | null | number;
  send(bytes: Uint8Array, start: number, end: number, ...descriptors: number[]): number;
  receive(bytes: Uint8Array, start: number, end: number): number;
  takeDescriptors(): number[] | null;
  credentials(): Credentials;
  watch(callback: (() => void) | null): number;
  ref(): void;
  unref(): void;
  notify(): number;
  detach(): number;
  close(): void;
}

/** Bits of what a watch's callback is told. */
export const READY = 1;
export const HANGUP = 2;

/** Indices of the words that a watch and its channel share: WatchState in native/loop_watch.h. */
export const READ_POSITION = 0;
export const WANTS_SPACE = 1;
export const CACHED_HEAD = 2;
export const EXPECTING = 3;
export const EVENT_COUNT = 4;
export const PAUSED = 5;
export const KEEP_ALIVE = 6;
export const IS_REF = 7;
export const EAGER = 8;
export const WATCH_STATE_WORDS = 16;

export interface NativeWatch {
  notify(): number;
  spin(limitNs?: number): boolean;
  wait(ms: number): number;
  unpark(): void;
  ref(): void;
  unref(): void;
  close(): void;
}

export interface NativeAddon {
  readonly Segment: {
    create(capacity0: number, capacity1: number, arenaBytes?: number): NativeSegment;
    map(descriptor: number, maxRingBytes: number, maxArenaBytes?: number): NativeSegment;
  };
  readonly CounterMemory: {
    create(bytes: number): NativeCounterMemory;
    map(descriptor: number, bytes: number): NativeCounterMemory;
  };
  readonly UnixSocket: {
    listen(path: string): NativeSocket;
    connect(path: string): NativeSocket;
  };
  readonly LoopWatch: new (
    socket: NativeSocket,
    segment: NativeSegment,
    inboundRing: 0 | 1,
    state: Int32Array,
    callback: (events: number) => void,
  ) => NativeWatch;
  /** [0] counts the turns of this thread's event loop; setting [1] ends the current one early. */
  readonly turn: Int32Array;
  configureWaiting(mode: number, spinLimitNs: number, lingerMs: number): void;
  /** Memory with any content; undefined where external memory is forbidden. It is used again when the collector is done with it. */
  allocateBlock(bytes: number): ArrayBuffer | undefined;
  /** Gives the blocks that are not in use back to the system. */
  trimBlocks(): void;
  lockFile(path: string): number;
  closeDescriptor(descriptor: number): void;
}

/** Set this to the path of a .node file to use it in place of the ones below. */
export const NATIVE_PATH_VARIABLE = 'PILLION_NATIVE_PATH';

export type NativeResult = { addon: NativeAddon } | { addon: null; reason: string };

let loaded: NativeResult | undefined;

/** The addon, or why there is none. Tries once per thread. */
export function native(): NativeResult {
  loaded ??= load();
  return loaded;
}

function load(): NativeResult {
  if (process.platform !== 'linux') return { addon: null, reason: `shared memory needs Linux, this is ${process.platform}` };
  const require = createRequire(import.meta.url);
  const attempts: string[] = [];
  for (const candidate of candidates()) {
    try {
      const addon = require(candidate) as NativeAddon;
      if (typeof addon.CounterMemory === 'function') return { addon };
      attempts.push(`${candidate}: not an addon of this version of pillion`);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ERR_DLOPEN_DISABLED') {
        const flag = process.execArgv.includes('--no-addons') ? '--no-addons' : 'the permission model (use --allow-addons)';
        return { addon: null, reason: `native addons are disabled by ${flag}` };
      }
      attempts.push(`${candidate}: ${code === 'MODULE_NOT_FOUND' ? 'not there' : messageOf(error).split('\n')[0]}`);
    }
  }
  return { addon: null, reason: `the native addon could not be loaded; tried ${attempts.join('; ')}. ${remedy()}` };
}

function remedy(): string {
  if (process.env[NATIVE_PATH_VARIABLE]) return `Only that one, because ${NATIVE_PATH_VARIABLE} is set`;
  return `Install ${platformPackage()}, or run "npm run rebuild:native" in ${packageRoot()}`;
}

/** In this order: what the user says, what was built here, what npm installed for this platform. The last reads a file, so it is worked out only when it is its turn. */
function* candidates(): Generator<string> {
  const override = process.env[NATIVE_PATH_VARIABLE];
  if (override) {
    yield resolve(override);
    return;
  }
  const root = packageRoot();
  yield `${root}build/Release/pillion.node`;
  yield `${root}build/Debug/pillion.node`;
  yield platformPackage();
}

function packageRoot(): string {
  // dist/src/native.js, both in a checkout and in an installed package.
  return fileURLToPath(new URL('../../', import.meta.url));
}

/** The npm package with the binary for the platform of this process, as @napi-rs/cli names it. */
export function platformPackage(): string {
  return `pillion-${process.platform}-${process.arch}-${isMusl() ? 'musl' : 'gnu'}`;
}

/** musl's loader is also its C library, so a process that uses musl has it mapped; what else lies in /lib says nothing about this process. */
function isMusl(): boolean {
  try {
    return /\/(ld-musl-[^/]*|libc\.so)$/m.test(readFileSync('/proc/self/maps', 'latin1'));
  } catch {
    return false;
  }
}

/** The addon's errors carry `syscall` and a negative `errno`; users get a code and a cause. */
export function systemError(error: unknown, what: string): PillionError {
  const { errno, syscall } = error as NodeJS.ErrnoException;
  if (typeof errno === 'number' && errno < 0) Object.assign(error as object, { code: getSystemErrorName(errno) });
  const code = (error as NodeJS.ErrnoException).code;
  const detail = syscall && code ? `${syscall} failed with ${code}` : messageOf(error);
  return new PillionError('ERR_PILLION_SYSTEM', `${what}: ${detail}`, { cause: error });
}

/** The name of a negated errno, e.g. "EMFILE". */
export function errnoName(negatedErrno: number): string {
  return getSystemErrorName(negatedErrno);
}
