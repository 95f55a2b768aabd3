import type { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';

/** What can be sent item by item: arrays, generators, Node and web streams, what another stream gives. */
export type Source = Iterable<unknown> | AsyncIterable<unknown>;

/** A source that is being read. One `next` at a time. */
export interface OpenSource {
  readonly isAsync: boolean;
  next(): IteratorResult<unknown> | Promise<IteratorResult<unknown>>;
  /** Nothing more is wanted, from this moment on, even while `next` is pending. Never throws. */
  stop(): void;
}

/** Can this be sent item by item? */
export function isSource(value: unknown): value is Source {
  if (typeof value !== 'object' || value === null) return false;
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}

/** `onFailure` is told of a failure that comes while nobody waits for `next`. */
export function openSource(source: Source, onFailure: (error: unknown) => void): OpenSource {
  if (isNodeReadable(source)) return openReadable(source, onFailure);
  if (isWebStream(source)) return openWebStream(source);
  const isAsync = Symbol.asyncIterator in source;
  const iterator = isAsync ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  return { isAsync, next: () => iterator.next(), stop: () => void endIterator(iterator) };
}

/** Nothing of this source will ever be wanted. Never throws. */
export function discardSource(source: Source): void {
  try {
    openSource(source, () => {}).stop();
  } catch {
    // It cannot even be opened: a web stream that somebody else reads, for example.
  }
}

// Not instanceof: there are copies of Node's streams in packages.
function isNodeReadable(value: object): value is Readable {
  const { pipe, on, destroy } = value as Partial<Readable>;
  return typeof pipe === 'function' && typeof on === 'function' && typeof destroy === 'function' && Symbol.asyncIterator in value;
}

function isWebStream(value: object): value is ReadableStream {
  const { getReader, cancel } = value as Partial<ReadableStream>;
  return typeof getReader === 'function' && typeof cancel === 'function';
}

/**
 * Node's iterator listens for errors from its first `next` on, and can be returned neither before that nor during one. So the stream itself is watched and destroyed: a file that cannot be opened
 * must not be an uncaught exception because the reader has no room yet.
 */
function openReadable(stream: Readable, onFailure: (error: unknown) => void): OpenSource {
  stream.on('error', onFailure);
  if (stream.errored) onFailure(stream.errored);
  const iterator = stream[Symbol.asyncIterator]();
  return { isAsync: true, next: () => iterator.next(), stop: () => void stream.destroy() };
}

/** The iterator of a web stream can be returned only between two reads, its reader can be cancelled at any time. */
function openWebStream(stream: ReadableStream): OpenSource {
  const reader = stream.getReader();
  return {
    isAsync: true,
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    stop: () => void reader.cancel().catch(() => {}),
  };
}

/** Whatever a source does when it is told to stop is its own affair: nobody is left to be told. */
async function endIterator(iterator: Iterator<unknown> | AsyncIterator<unknown>): Promise<void> {
  try {
    await iterator.return?.();
  } catch {
    // See above.
  }
}
