import { once } from 'node:events';
import { createReadStream, createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { ReadableStream } from 'node:stream/web';
import { contract, stream, upload } from '../../src/index.js';
import { digest, pattern } from '../helpers/bytes.js';
import { inTime, until } from '../helpers/deadline.js';
import { over, pair } from './fixtures/pair.js';

/** Streams and uploads with what else Node has for this: iterables, Node streams, web streams. */

const items = contract('items', {
  numbers: stream<number, number>(),
  bytes: stream<Uint8Array, Uint8Array>({ codec: 'raw' }),
  sum: upload<number, number>(),
  /** Answers with the digest. */
  store: upload<Uint8Array, Uint8Array>({ codec: 'raw' }),
});

type Source<T> = Iterable<T> | AsyncIterable<T>;
/** Handlers that do nothing, where a test is not about them. */
const idle = {
  numbers: (): Source<number> => [],
  bytes: (): Source<Uint8Array> => [],
  sum: async (source: AsyncIterable<number>) => {
    let sum = 0;
    for await (const number of source) sum += number;
    return sum;
  },
  store: async (source: AsyncIterable<Uint8Array>): Promise<Uint8Array> => Buffer.from(digest(await buffer(source))),
};

function* upTo(count: number): Generator<number> {
  for (let number = 0; number < count; number++) yield number;
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

/** A source that gives `first`, and then nothing for ever; says when it was stopped. */
function endless(kind: 'node' | 'web', first: unknown[]): { source: Source<never>; isStopped(): boolean } {
  let isStopped = false;
  const left = [...first];
  if (kind === 'node') {
    const source = new Readable({
      objectMode: true,
      read() {
        if (left.length > 0) this.push(left.shift());
      },
      destroy(error, callback) {
        isStopped = true;
        callback(error);
      },
    });
    return { source: source as unknown as Source<never>, isStopped: () => isStopped };
  }
  const source = new ReadableStream({
    pull: (controller) => (left.length > 0 ? controller.enqueue(left.shift()) : new Promise(() => {})),
    cancel: () => {
      isStopped = true;
    },
  });
  return { source: source as unknown as Source<never>, isStopped: () => isStopped };
}

over('a stream is read with for await, Readable.from, ReadableStream.from and toReadable alike', async (t, transport) => {
  const { client } = await pair(t, transport, items, { ...idle, numbers: (count) => upTo(count) });
  const expected = [...upTo(3000)];
  t.deepEqual(await collect(client.stream('numbers', 3000)), expected);
  t.deepEqual(await Readable.from(client.stream('numbers', 3000)).toArray(), expected);
  t.deepEqual(await client.stream('numbers', 3000).toReadable().toArray(), expected);
  const web = (ReadableStream as unknown as { from(source: unknown): ReadableStream }).from(client.stream('numbers', 3000));
  t.deepEqual(await collect(web), expected);
  t.deepEqual(await collect(Readable.toWeb(client.stream('numbers', 3000).toReadable())), expected);
  t.is(client.stats().streamsOpen, 0);
});

over('leaving early stops the producer at once, however the stream is read', async (t, transport) => {
  let isStopped = false;
  const { client } = await pair(t, transport, items, {
    ...idle,
    numbers: async function* (_request, { signal }) {
      isStopped = false;
      try {
        for (let number = 0; ; number++) {
          yield number;
          if (signal.aborted) return;
          if (number === 100) await once(signal, 'abort');
        }
      } finally {
        isStopped = true;
      }
    },
  });
  const stopped = async (how: string): Promise<void> => {
    await until(`the producer stops: ${how}`, () => isStopped);
    t.is(client.stats().streamsOpen, 0, how);
  };
  for await (const number of client.stream('numbers', 0)) if (number === 5) break;
  await stopped('break');

  const readable = client.stream('numbers', 0).toReadable();
  await once(readable, 'readable');
  t.is(readable.read(), 0);
  readable.destroy();
  await stopped('destroy');

  for await (const number of client.stream('numbers', 0).toReadable()) if (number === 5) break;
  await stopped('break from a Readable');

  const from = Readable.from(client.stream('numbers', 0));
  await once(from, 'readable');
  from.destroy();
  await stopped('destroy of Readable.from');

  const web = (ReadableStream as unknown as { from(source: unknown): ReadableStream }).from(client.stream('numbers', 0));
  const reader = web.getReader();
  t.is((await reader.read()).value, 0);
  await reader.cancel('enough');
  await stopped('cancel of a web stream');

  const second = new Writable({ objectMode: true, write: (_chunk, _encoding, callback) => callback(new Error('disk full')) });
  await t.throwsAsync(pipeline(client.stream('numbers', 0).toReadable(), second), { message: 'disk full' });
  await stopped('a pipeline that fails');

  await using scoped = client.stream('numbers', 0);
  t.is((await scoped.next()).value, 0);
  await scoped[Symbol.asyncDispose]();
  await stopped('dispose');
});

over('what had arrived before an error is read before the error, in a slow Readable too', async (t, transport) => {
  const { client } = await pair(t, transport, items, {
    ...idle,
    numbers: function* () {
      yield* [1, 2, 3, 4, 5];
      throw Object.assign(new Error('broken'), { code: 'EBROKEN' });
    },
  });
  for (const read of [() => client.stream('numbers', 0), () => client.stream('numbers', 0).toReadable()]) {
    const seen: number[] = [];
    const failed = async (): Promise<void> => {
      for await (const number of read()) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        seen.push(number);
      }
    };
    await t.throwsAsync(inTime('the error', failed()), { code: 'EBROKEN', message: 'broken' });
    t.deepEqual(seen, [1, 2, 3, 4, 5]);
  }
  const readable = client.stream('numbers', 0).toReadable();
  const seen: number[] = [];
  readable.on('readable', () => {
    for (let number = readable.read(); number !== null; number = readable.read()) seen.push(number);
  });
  const [error] = (await inTime('the error', new Promise((resolve) => readable.once('error', (...args) => resolve(args))))) as [
    NodeJS.ErrnoException,
  ];
  t.deepEqual(seen, [1, 2, 3, 4, 5]);
  t.is(error.code, 'EBROKEN');
});

over('a raw stream is a Readable of bytes, which files and hashes take', async (t, transport) => {
  const directory = mkdtempSync(join(tmpdir(), 'pillion-test-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const [from, to] = [join(directory, 'from'), join(directory, 'to')];
  writeFileSync(from, pattern(3_000_000));
  const { client } = await pair(t, transport, items, {
    ...idle,
    bytes: () => createReadStream(from),
    store: async (source) => {
      const readable = source.toReadable();
      t.false(readable.readableObjectMode);
      await pipeline(readable, createWriteStream(to));
      return Buffer.from(digest(readFileSync(to)));
    },
  });
  const expected = digest(pattern(3_000_000));
  await inTime('the download', pipeline(client.stream('bytes', new Uint8Array()).toReadable(), createWriteStream(to)));
  t.is(digest(readFileSync(to)), expected);
  t.is(textOf(await inTime('the upload', client.upload('store', createReadStream(from)))), expected);
  const writable = client.uploadWritable('store');
  await inTime('the upload', pipeline(createReadStream(from, { highWaterMark: 300_000 }), writable));
  t.is(textOf(await writable.result), expected);
});

over('handlers of streams return arrays, generators, Node streams and web streams', async (t, transport) => {
  const sources: (() => Source<number>)[] = [
    () => [0, 1, 2],
    () => upTo(3),
    () => Readable.from([0, 1, 2]),
    () => (ReadableStream as unknown as { from(source: unknown): ReadableStream<number> }).from([0, 1, 2]) as unknown as Source<number>,
    () => new Set([0, 1, 2]),
  ];
  const { client } = await pair(t, transport, items, { ...idle, numbers: async (index) => (sources[index] as () => Source<number>)() });
  for (const index of sources.keys()) t.deepEqual(await collect(client.stream('numbers', index)), [0, 1, 2], `source ${index}`);
});

for (const kind of ['node', 'web'] as const) {
  over(`a ${kind} stream that a handler returned is stopped at once, though nothing comes from it`, async (t, transport) => {
    const all: ReturnType<typeof endless>[] = [];
    const { client } = await pair(t, transport, items, {
      ...idle,
      numbers: () => {
        const one = endless(kind, [1, 2]);
        all.push(one);
        return one.source;
      },
    });
    const reader = client.stream('numbers', 0);
    t.is((await reader.next()).value, 1);
    t.is((await reader.next()).value, 2);
    await reader.return();
    await until('the source is stopped', () => all[0]?.isStopped() === true);
    // And one that nobody has read anything of.
    const second = client.stream('numbers', 0, { windowBytes: 1 });
    await until('the handler runs', () => all.length === 2);
    await second.return();
    await until('the second source is stopped', () => all[1]?.isStopped() === true);
  });

  over(`uploading a ${kind} stream stops it when the answer comes early or the upload is aborted`, async (t, transport) => {
    const { client } = await pair(t, transport, items, { ...idle, sum: async (source) => ((await source.next()).value as number) + 100 });
    const early = endless(kind, [1]);
    t.is(await inTime('the answer', client.upload('sum', early.source)), 101);
    await until('the source is stopped', early.isStopped);

    const aborted = endless(kind, []);
    const controller = new AbortController();
    const result = client.upload('sum', aborted.source, { signal: controller.signal });
    controller.abort(new Error('changed my mind'));
    await t.throwsAsync(inTime('the rejection', result), { message: 'changed my mind' });
    await until('the source is stopped', aborted.isStopped);

    const late = endless(kind, [1]);
    await t.throwsAsync(client.upload('sum', late.source, { signal: AbortSignal.abort(new Error('before')) }), { message: 'before' });
    await until('the source is stopped', late.isStopped);
  });
}

over('a file that cannot be read fails its upload, not the process, even before the sidecar reads', async (t, transport) => {
  const { client } = await pair(t, transport, items, idle);
  const missing = (): Readable => createReadStream('/nowhere/at/all');
  await t.throwsAsync(inTime('the failure', client.upload('store', missing())), { code: 'ENOENT' });
  const writable = client.uploadWritable('store');
  await t.throwsAsync(inTime('the failure', pipeline(missing(), writable)), { code: 'ENOENT' });
  await t.throwsAsync(inTime('the result', writable.result), { code: 'ENOENT' });
  t.is(client.stats().streamsOpen, 0);
});

over('uploads take iterables, Node streams and web streams, and refuse what is none', async (t, transport) => {
  const { client } = await pair(t, transport, items, idle);
  t.is(await client.upload('sum', [1, 2, 3]), 6);
  t.is(await client.upload('sum', upTo(2000)), 1_999_000);
  t.is(await client.upload('sum', Readable.from([1, 2, 3])), 6);
  const web = (ReadableStream as unknown as { from(source: unknown): ReadableStream<number> }).from([1, 2, 3]);
  t.is(await client.upload('sum', web), 6);
  t.is(await client.upload('sum', []), 0);
  await t.throwsAsync(client.upload('sum', 5 as never), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  await t.throwsAsync(client.upload('sum', undefined as never), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  const busy = (ReadableStream as unknown as { from(source: unknown): ReadableStream<number> }).from([1]);
  busy.getReader();
  await t.throwsAsync(client.upload('sum', busy), { instanceOf: TypeError });
  t.is(client.stats().streamsOpen, 0);
});

over('a Writable tells of its end, then of the result, then that it is closed', async (t, transport) => {
  const { client } = await pair(t, transport, items, idle);
  const writable = client.uploadWritable('sum');
  const seen: string[] = [];
  writable.on('finish', () => seen.push('finish')).on('close', () => seen.push('close'));
  void writable.result.then((sum) => seen.push(String(sum)));
  for (const number of upTo(100)) writable.write(number);
  writable.end(1);
  await inTime('it is closed', once(writable, 'close'));
  t.deepEqual(seen, ['finish', '4951', 'close']);
});

over('a Writable whose handler answers early closes, and stops what is piped into it', async (t, transport) => {
  const { client } = await pair(t, transport, items, { ...idle, sum: () => 42 });
  const source = endless('node', [1, 2, 3]);
  const writable = client.uploadWritable('sum');
  // The stream's own word for it, or that of a write that was under way.
  const failure = await t.throwsAsync<NodeJS.ErrnoException>(
    inTime('the pipeline', pipeline(source.source as unknown as Readable, writable)),
  );
  t.true(['ERR_STREAM_PREMATURE_CLOSE', 'ERR_PILLION_CLOSED'].includes(failure?.code as string));
  t.is(await writable.result, 42);
  t.true(source.isStopped());
});

over('a Writable fails as its handler does, once, and tells its handler why it was destroyed', async (t, transport) => {
  const reasons: string[] = [];
  const { client } = await pair(t, transport, items, {
    ...idle,
    sum: async (source) => {
      try {
        for await (const number of source) if (number === 13) throw new Error('unlucky');
      } catch (error) {
        reasons.push((error as Error).message);
        throw error;
      }
      return 0;
    },
  });
  const errors: Error[] = [];
  const failing = client.uploadWritable('sum').on('error', (error) => errors.push(error));
  failing.write(13);
  await until('it closes', () => failing.closed);
  t.deepEqual(
    errors.map(({ message }) => message),
    ['unlucky'],
  );
  await t.throwsAsync(failing.result, { message: 'unlucky' });

  const destroyed = client.uploadWritable('sum').on('error', (error) => errors.push(error));
  await new Promise((resolve) => destroyed.write(1, resolve));
  destroyed.destroy(new Error('changed my mind'));
  await until('the handler is told', () => reasons.length === 2);
  t.deepEqual(reasons, ['unlucky', 'changed my mind']);
  t.is(errors.length, 2);
  await t.throwsAsync(destroyed.result, { message: 'changed my mind' });

  const huge = client.uploadWritable('store').on('error', () => {});
  huge.write(pattern(20_000_000));
  huge.end();
  t.is(textOf(await huge.result), digest(pattern(20_000_000)), 'bytes may be cut, so there is no limit');
});

over('a Writable slows down with its handler', async (t, transport) => {
  let go: () => void = () => {};
  const { client } = await pair(
    t,
    transport,
    items,
    {
      ...idle,
      store: async (source) => {
        await new Promise<void>((resolve) => {
          go = resolve;
        });
        return Buffer.from(digest(await buffer(source)));
      },
    },
    { serve: { windowBytes: 50_000 } },
  );
  const through = new PassThrough();
  let taken = 0;
  through.on('data', (chunk) => {
    taken += chunk.length;
  });
  const writable = client.uploadWritable('store');
  const done = pipeline(Readable.from(Array.from({ length: 200 }, (_, index) => Buffer.from(pattern(10_000, index)))), through, writable);
  let last = -1;
  await until('nothing more is taken', async () => {
    const same = taken === last && taken > 0;
    last = taken;
    await new Promise((resolve) => setTimeout(resolve, 50));
    return same;
  });
  t.true(taken < 300_000, `${taken} bytes were taken`);
  go();
  await inTime('the rest', done);
  t.is(textOf(await writable.result), digest(Buffer.concat(Array.from({ length: 200 }, (_, index) => pattern(10_000, index)))));
});

over('a slow reader slows its own producer and nobody else', async (t, transport) => {
  const produced = [0, 0];
  const { client } = await pair(
    t,
    transport,
    items,
    {
      ...idle,
      numbers: async function* (which) {
        for (let number = 0; number < 20_000; number++) {
          produced[which] = number;
          yield number;
        }
      },
    },
    { connect: { windowBytes: 8192 } },
  );
  const slow = client.stream('numbers', 0);
  t.is((await slow.next()).value, 0);
  t.is((await inTime('the fast one', collect(client.stream('numbers', 1)))).length, 20_000);
  t.is(await client.upload('sum', upTo(1000)), 499_500);
  t.true((produced[0] as number) < 1000, `${produced[0]} items were made for a reader that took one`);
  t.is((await inTime('the slow one', collect(slow))).length, 19_999);
});
