import { COUNTER_BYTES_STEP, MAX_COUNTER_BYTES, MIN_COUNTER_BYTES } from './counters/layout.js';
import { PillionError } from './errors.js';
import { type NativeAddon, native } from './native.js';
import { usableProcessors } from './processors.js';
import { isRingCapacity } from './protocol/handshake.js';
import { ARENA_PAGE_BYTES, MAX_ARENA_BYTES, MAX_RING_BYTES, MIN_RING_BYTES } from './ring/layout.js';

/** Defaults and checks of what users may set, once, at the edge. */

export const DEFAULT_RING_BYTES = 256 * 1024;
export const DEFAULT_MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
export const DEFAULT_MAX_RING_BYTES = 64 * 1024 * 1024;
export const DEFAULT_COUNTER_BYTES = 64 * 1024;
export const DEFAULT_MAX_COUNTER_BYTES = 1024 * 1024;
export const DEFAULT_MAX_ARENA_BYTES = 64 * 1024 * 1024;
export const DEFAULT_CALL_TIMEOUT_MS = 5000;
export const DEFAULT_HANDSHAKE_TIMEOUT_MS = 5000;
export const DEFAULT_LINGER_MS = 1;
/** Of the items of one stream. */
export const DEFAULT_WINDOW_BYTES = 256 * 1024;
export const LIBRARY_RUNTIME = `node ${process.versions.node}`;

/** How this thread waits for messages: `adaptive` spins when recent gaps make a hit likely, for at most 50 µs, or 200 µs where wake-ups are slow; `park` never, `spin` always. */
export type WaitPreset = 'adaptive' | 'park' | 'spin';

const presets: Record<WaitPreset, { mode: number; spinNs: number }> = {
  adaptive: { mode: 0, spinNs: 50_000 },
  park: { mode: 1, spinNs: 0 },
  spin: { mode: 2, spinNs: 1_000_000 },
};

export function invalidArgument(message: string): PillionError {
  return new PillionError('ERR_PILLION_INVALID_ARGUMENT', message);
}

/** An integer option within bounds. */
export function integerOption(name: string, value: unknown, fallback: number, min: number, max: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw invalidArgument(`${name}=${String(value)} is not an integer from ${min} to ${max}`);
  }
  return value;
}

/** A duration in ms; Infinity means no limit. */
export function timeoutOption(name: string, value: unknown, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || Number.isNaN(value) || value <= 0) {
    throw invalidArgument(`${name}=${String(value)} is not a number of milliseconds above 0 (Infinity for no limit)`);
  }
  return value;
}

export function ringBytesOption(name: string, value: unknown): number {
  if (value === undefined) return DEFAULT_RING_BYTES;
  if (!isRingCapacity(value))
    throw invalidArgument(`${name}=${String(value)} is not a power of two from ${MIN_RING_BYTES} to ${MAX_RING_BYTES}`);
  return value as number;
}

export function counterBytesOption(value: unknown): number {
  const bytes = integerOption('counterBytes', value, DEFAULT_COUNTER_BYTES, MIN_COUNTER_BYTES, MAX_COUNTER_BYTES);
  if (bytes % COUNTER_BYTES_STEP !== 0) throw invalidArgument(`counterBytes=${bytes} is not a multiple of ${COUNTER_BYTES_STEP}`);
  return bytes;
}

/** Whole pages; the addon refuses what is none where pages are larger, and the socket takes its place. */
export function arenaBytesOption(value: unknown): number {
  const bytes = integerOption('arenaBytes', value, 0, 0, MAX_ARENA_BYTES);
  if (bytes % ARENA_PAGE_BYTES !== 0) throw invalidArgument(`arenaBytes=${bytes} is not a multiple of ${ARENA_PAGE_BYTES}`);
  return bytes;
}

/** The addon unless the user wants none, and why there is none. */
export function addonFor(transport: 'auto' | 'socket' | undefined): { addon: NativeAddon | null; reason: string | undefined } {
  if (transport !== undefined && transport !== 'auto' && transport !== 'socket') {
    throw invalidArgument(`transport=${String(transport)} is neither "auto" nor "socket"`);
  }
  const result = native();
  return result.addon === null ? { addon: null, reason: result.reason } : { addon: result.addon, reason: undefined };
}

let isWaitingConfigured = false;
let maySpin = false;

/**
 * Applies a wait preset to this thread's event loop. All connections of a thread share the loop, so the last caller who asked for something
 * in particular decides.
 */
export function configureWaiting(
  addon: NativeAddon | null,
  preset: WaitPreset | undefined,
  lingerMs: number | undefined,
): { maySpin: boolean } {
  if (preset !== undefined && !Object.hasOwn(presets, preset))
    throw invalidArgument(`wait=${String(preset)} is none of ${Object.keys(presets).join(', ')}`);
  const linger = integerOption('lingerMs', lingerMs, DEFAULT_LINGER_MS, 0, 1000);
  if (addon === null || (isWaitingConfigured && preset === undefined && lingerMs === undefined)) return { maySpin };
  isWaitingConfigured = true;
  const { mode, spinNs } = presets[preset ?? 'adaptive'];
  // With one processor whoever spins keeps the other side from answering.
  // Who asks for it by name may have pinned both sides to processors of their own.
  maySpin = mode === presets.spin.mode || (mode === presets.adaptive.mode && usableProcessors() > 1);
  addon.configureWaiting(maySpin ? mode : presets.park.mode, maySpin ? spinNs : 0, linger);
  return { maySpin };
}
