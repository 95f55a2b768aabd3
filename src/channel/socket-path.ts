import { randomBytes } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, renameSync, type Stats, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { messageOf, PillionError } from '../errors.js';

/** `sun_path` of Linux holds 108 bytes with the closing zero. */
const MAX_PATH_BYTES = 107;
/** What the private name adds while a server starts. */
const SUFFIX_BYTES = 10;

/** Where app and sidecar meet: the option, else PILLION_SOCKET, else `<runtime dir>/pillion/<contract>.sock`. */
export function resolveSocketPath(path: string | undefined, contractName: string): string {
  const chosen = path ?? (process.env.PILLION_SOCKET || undefined) ?? join(runtimeDirectory(), 'pillion', `${contractName}.sock`);
  if (typeof chosen !== 'string' || chosen.length === 0 || chosen.includes('\0')) {
    throw new PillionError('ERR_PILLION_INVALID_ARGUMENT', `path=${JSON.stringify(chosen)} is not a socket path`);
  }
  const absolute = process.platform === 'win32' ? chosen : resolve(chosen);
  const bytes = Buffer.byteLength(absolute);
  if (process.platform !== 'win32' && bytes > MAX_PATH_BYTES - SUFFIX_BYTES) {
    throw new PillionError(
      'ERR_PILLION_SOCKET_PATH',
      `the socket path has ${bytes} bytes, at most ${MAX_PATH_BYTES - SUFFIX_BYTES} are possible: choose a shorter one, for example below /run (${absolute})`,
    );
  }
  return absolute;
}

// Per user where the system has such a place, so that nobody else can take the name first.
function runtimeDirectory(): string {
  return process.env.XDG_RUNTIME_DIR || join(tmpdir(), `user-${process.getuid?.() ?? 'any'}`);
}

/** Makes the socket's directory if it is missing, and refuses one that others could tamper with. */
export function prepareDirectory(path: string, allowSharedDirectory: boolean): void {
  const directory = dirname(path);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new PillionError('ERR_PILLION_SOCKET_PATH', `the directory ${directory} cannot be made: ${messageOf(cause)}`, { cause });
  }
  if (allowSharedDirectory || process.getuid === undefined) return;
  const info = lstatSync(directory);
  const uid = process.getuid();
  const refuse = (why: string): never => {
    throw new PillionError(
      'ERR_PILLION_SOCKET_PATH',
      `the directory ${directory} ${why}: use one with mode 0700 of your own, or set allowSharedDirectory if others are meant to reach it`,
    );
  };
  if (info.isSymbolicLink()) refuse('is a symbolic link');
  if (!info.isDirectory()) refuse('is not a directory');
  if (info.uid !== uid) refuse(`belongs to uid ${info.uid}, not ${uid}`);
  if ((info.mode & 0o077) !== 0) refuse(`has mode ${(info.mode & 0o777).toString(8).padStart(4, '0')}`);
}

/** Refuses anything but a socket, or nothing, on the path. Removes nothing. */
export function checkReplaceable(path: string): void {
  const info = statOf(path);
  if (info === null || info.isSocket()) return;
  const what = info.isSymbolicLink()
    ? 'a symbolic link'
    : info.isDirectory()
      ? 'a directory'
      : info.isFile()
        ? 'a regular file'
        : 'not a socket';
  throw new PillionError('ERR_PILLION_SOCKET_PATH', `there is ${what} at ${path}: it was left alone; remove it or choose another path`);
}

/** A name beside the path on which to bind before the rename. */
export function privateName(path: string): string {
  return `${path}.${randomBytes(4).toString('hex')}`;
}

/** Puts the bound socket on its public name, replacing a stale one in one step. */
export function publish(boundName: string, path: string, mode: number): FileIdentity {
  chmodSync(boundName, mode);
  const identity = identityOf(boundName) as FileIdentity;
  renameSync(boundName, path);
  return identity;
}

export interface FileIdentity {
  dev: number;
  ino: number;
}

/** Removes the path if it is still ours: a successor may have put its own socket there. */
export function unlinkIfOurs(path: string, ours: FileIdentity): void {
  const now = identityOf(path);
  if (now !== null && now.dev === ours.dev && now.ino === ours.ino) unlinkQuietly(path);
}

export function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody was faster, which is as good.
  }
}

function identityOf(path: string): FileIdentity | null {
  const info = statOf(path);
  return info === null ? null : { dev: info.dev, ino: info.ino };
}

function statOf(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch {
    return null;
  }
}
