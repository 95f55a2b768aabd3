import { once } from 'node:events';
import { connect, serve } from '../../src/index.js';
import { pattern } from '../helpers/bytes.js';
import { type Child, startChild } from '../helpers/child.js';
import { inTime, until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { over, pair } from './fixtures/pair.js';
import { life, lifeHandlers } from './fixtures/stream-contract.js';
import { transportOptions } from './fixtures/suite.js';

/** How streams begin and end: before a sidecar, without one, in the middle, with handlers and sources that misbehave. */

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of source) all.push(item);
  return all;
}

const startSidecar = (path: string, ...args: string[]): Promise<Child> =>
  startChild(new URL('./fixtures/stream-sidecar.js', import.meta.url), { args: [path, ...args] });

over('streams opened before there is a sidecar go through when it comes', async (t, transport) => {
  const path = socketPath();
  const client = connect(life, { path, ...transportOptions(transport) });
  t.teardown(() => client.close());
  const numbers = collect(client.stream('numbers', 5));
  const sum = client.upload('sum', [1, 2, 3]);
  const nothing = client.upload('sum', []);
  const writable = client.uploadWritable('sum');
  writable.write(4);
  writable.end(5);
  const items = client.duplexItems('items');
  void items.write('first');
  void items.end();
  const ended = client.duplexItems('items');
  await ended.end();
  const socket = client.duplex('echo');
  socket.end('hello');
  const cancelled = client.stream('numbers', 5);
  await cancelled.return();
  // Over what it connects is not known yet, and what was written may have to move.
  const server = await serve(life, lifeHandlers, { path });
  t.teardown(() => server.close());
  t.deepEqual(await inTime('the stream', numbers), [0, 1, 2, 3, 4]);
  t.is(await inTime('the upload', sum), 6);
  t.is(await inTime('the empty upload', nothing), 0);
  t.is(await inTime('the Writable', writable.result), 9);
  t.deepEqual(await inTime('the items', collect(items)), ['first']);
  t.deepEqual(await inTime('the duplex that only ended', collect(ended)), []);
  t.is(String(Buffer.concat(await inTime('the bytes', socket.toArray()))), 'hello');
  t.deepEqual(await collect(cancelled), []);
  await until('nothing is left open', () => client.stats().streamsOpen === 0);
});

over('a sidecar without shared memory gets the streams that were opened for one with it', async (t) => {
  const path = socketPath();
  const client = connect(life, { path });
  t.teardown(() => client.close());
  const ended = client.duplexItems('items');
  await ended.end();
  const socket = client.duplex('echo');
  socket.end();
  const numbers = collect(client.stream('numbers', 3));
  const server = await serve(life, lifeHandlers, { path, transport: 'socket' });
  t.teardown(() => server.close());
  t.deepEqual(await inTime('the duplex that only ended', collect(ended)), []);
  t.deepEqual(await inTime('the socket that only ended', socket.toArray()), []);
  t.deepEqual(await inTime('the stream', numbers), [0, 1, 2]);
  t.is(client.status().transport, 'socket');
});

over('a signal that has aborted already opens nothing', async (t, transport) => {
  const { client, server } = await pair(t, transport, life, lifeHandlers);
  const signal = AbortSignal.abort(new Error('before'));
  const aborted = { message: 'before' };
  t.throws(() => client.stream('numbers', 1, { signal }), aborted);
  t.throws(() => client.duplexItems('items', { signal }), aborted);
  t.throws(() => client.uploadWritable('sum', { signal }), aborted);
  await t.throwsAsync(client.upload('sum', [1], { signal }), aborted);
  await t.throwsAsync(once(client.duplex('echo', { signal }), 'close'), aborted);
  t.is(client.stats().streamsOpen, 0);
  t.is(server.stats().streamsHandled, 0);
});

over('closing the client ends every stream, and what had arrived can still be read', async (t, transport) => {
  const { client } = await pair(t, transport, life, {
    ...lifeHandlers,
    numbers: async function* () {
      for (let number = 0; ; number++) {
        yield number;
        if (number === 999) await new Promise(() => {});
      }
    },
  });
  const numbers = client.stream('numbers', 0);
  t.is((await numbers.next()).value, 0);
  let isStopped = false;
  const upload = client.upload(
    'sum',
    (async function* () {
      try {
        yield 1;
        for (;;) yield await new Promise<number>((resolve) => setTimeout(resolve, 1, 1));
      } finally {
        isStopped = true;
      }
    })(),
  );
  const items = client.duplexItems('items');
  const waiting = items.next();
  await until('the first items are there', () => client.stats().streamsOpen === 3);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const rejected = t.throwsAsync(upload, { code: 'ERR_PILLION_CLOSED' });
  await client.close();
  await rejected;
  await t.throwsAsync(waiting, { code: 'ERR_PILLION_CLOSED' });
  let read = 0;
  await t.throwsAsync(
    (async () => {
      for await (const number of numbers) t.is(number, ++read);
    })(),
    { code: 'ERR_PILLION_CLOSED' },
  );
  t.true(read <= 999);
  t.false(await items.write('too late'));
  await until('the source was stopped', () => isStopped);
  t.throws(() => client.stream('numbers', 1), { code: 'ERR_PILLION_CLOSED' });
});

over(
  'a sidecar that is killed ends its streams with an error, after what had arrived; the next one serves new ones',
  async (t, transport) => {
    const path = socketPath();
    let sidecar = await startSidecar(path);
    t.teardown(() => sidecar.stop());
    const client = connect(life, { path, ...transportOptions(transport) });
    t.teardown(() => client.close());
    const numbers = client.stream('numbers', 1_000_000, { windowBytes: 4096 });
    t.is((await inTime('the first item', numbers.next())).value, 0);
    const socket = client.duplex('echo');
    socket.write('hello');
    await inTime('the echo', once(socket, 'data'));
    const never = (async function* (): AsyncGenerator<number> {
      yield 1;
      await new Promise(() => {});
    })();
    const upload = client.upload('sum', never);
    const failed = t.throwsAsync(inTime('the upload fails', upload), { code: 'ERR_PILLION_PEER_DIED' });
    const errored = inTime('the socket fails', t.throwsAsync(once(socket, 'close'), { code: 'ERR_PILLION_PEER_DIED' }));
    await sidecar.stop();
    await failed;
    await errored;
    let read = 0;
    const rest = (async () => {
      for await (const number of numbers) t.is(number, ++read);
    })();
    await t.throwsAsync(inTime('the stream fails', rest), { code: 'ERR_PILLION_PEER_DIED' });
    t.true(read > 0);
    const late = collect(client.stream('numbers', 3));
    sidecar = await startSidecar(path);
    t.deepEqual(await inTime('the new stream', late), [0, 1, 2]);
  },
);

over('a sidecar that is taken over ends its streams; new ones are the successor’s', async (t, transport) => {
  const path = socketPath();
  const first = await startSidecar(path);
  t.teardown(() => first.stop());
  const client = connect(life, { path, ...transportOptions(transport) });
  t.teardown(() => client.close());
  const numbers = client.stream('numbers', 1_000_000, { windowBytes: 4096 });
  t.is((await inTime('the first item', numbers.next())).value, 0);
  const socket = client.duplex('echo');
  socket.write('hello');
  await inTime('the echo', once(socket, 'data'));
  const errored = inTime('the socket fails', t.throwsAsync(once(socket, 'close'), { code: 'ERR_PILLION_CLOSED' }));
  const second = await startSidecar(path, 'takeover');
  t.teardown(() => second.stop());
  await errored;
  await t.throwsAsync(inTime('the stream fails', collect(numbers)), { code: 'ERR_PILLION_CLOSED' });
  t.deepEqual(await inTime('a new stream', collect(client.stream('numbers', 3))), [0, 1, 2]);
  t.is((await second.ask<{ streamsHandled: number }>('stats')).streamsHandled, 1);
});

over('a sidecar that leaves ends the streams that wait for their turn as well', async (t, transport) => {
  const { client, server, handlerErrors } = await pair(
    t,
    transport,
    life,
    {
      ...lifeHandlers,
      numbers: async function* () {
        yield 1;
        await new Promise(() => {});
      },
    },
    { serve: { concurrency: 1 } },
  );
  const running = client.stream('numbers', 0);
  t.is((await running.next()).value, 1);
  const waiting = client.stream('numbers', 0);
  await client.flush({ timeout: 20_000 });
  const ends = Promise.all([running, waiting].map((items) => t.throwsAsync(items.next(), { code: 'ERR_PILLION_CLOSED' })));
  await inTime('the server leaves', server.close());
  await inTime('both streams end', ends);
  t.deepEqual(handlerErrors, []);
});

over('a handler that ignores its items does not keep the app waiting', async (t, transport) => {
  const stopped: string[] = [];
  // Not a generator: one that has not begun has no finally to run.
  const source = (name: string): AsyncIterable<number> => ({
    [Symbol.asyncIterator]: () => ({
      next: async () => ({ value: 1, done: false }),
      return: async () => {
        stopped.push(name);
        return { value: undefined, done: true };
      },
    }),
  });
  const { client } = await pair(
    t,
    transport,
    life,
    { ...lifeHandlers, sum: () => 42, items: () => ['only', 'this'] },
    { serve: { concurrency: 1 } },
  );
  t.is(await inTime('the upload', client.upload('sum', source('upload'))), 42);
  const items = client.duplexItems('items');
  const written = items.writeAll(source('duplex'));
  t.deepEqual(await inTime('the output', collect(items)), ['only', 'this']);
  await inTime('the input is given up', written);
  await until('both sources are stopped', () => stopped.length === 2);
  t.false(items.isWritable && (await items.write(1)));
  // With a limit of one at work, a stream that was not forgotten would be the last.
  for (let round = 0; round < 3; round++) {
    const next = client.duplexItems('items');
    t.deepEqual(await inTime('the next one', collect(next)), ['only', 'this']);
    await next.end();
  }
  t.is(await inTime('the next upload', client.upload('sum', [1])), 42);
  await until('nothing is left open', () => client.stats().streamsOpen === 0);
});

over('a handler that stops reading in the middle goes on writing, and its stream ends', async (t, transport) => {
  const { client } = await pair(
    t,
    transport,
    life,
    {
      ...lifeHandlers,
      items: async function* (end) {
        for await (const item of end) if (item === 'stop') break;
        yield 'after that';
      },
    },
    { serve: { concurrency: 1 } },
  );
  for (let round = 0; round < 3; round++) {
    const items = client.duplexItems('items');
    t.true(await items.write('go'));
    t.true(await items.write('stop'));
    t.deepEqual(await inTime('the output', collect(items)), ['after that']);
    await until('the input is given up', () => !items.isWritable);
    t.false(await items.write('too late'));
  }
  await until('nothing is left open', () => client.stats().streamsOpen === 0);
});

over('sources that cannot be stopped, or fail when they are, harm nobody', async (t, transport) => {
  const { client } = await pair(t, transport, life, { ...lifeHandlers, sum: async (items) => (await items.next()).value as number });
  const withReturn = (ending: () => Promise<IteratorResult<number>>): AsyncIterable<number> => ({
    [Symbol.asyncIterator]: () => ({ next: async () => ({ value: 7, done: false }), return: ending }),
  });
  const sources: [string, Iterable<number> | AsyncIterable<number>][] = [
    ['return rejects', withReturn(async () => Promise.reject(new Error('will not stop')))],
    ['return never settles', withReturn(() => new Promise(() => {}))],
    [
      'return throws',
      withReturn(() => {
        throw new Error('will not stop');
      }),
    ],
    ['no return', { [Symbol.asyncIterator]: () => ({ next: async () => ({ value: 7, done: false }) }) }],
    [
      'next never settles again',
      {
        [Symbol.asyncIterator]: () => ({ next: (first = true) => (first ? ({ value: 7, done: false } as never) : new Promise(() => {})) }),
      },
    ],
    [
      'the finally of a generator throws',
      (function* () {
        try {
          for (;;) yield 7;
        } finally {
          // biome-ignore lint/correctness/noUnsafeFinally: what the test is about
          throw new Error('will not stop');
        }
      })(),
    ],
  ];
  for (const [title, source] of sources) t.is(await inTime(title, client.upload('sum', source)), 7, title);
  const noIterator: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => {
      throw new Error('cannot be opened');
    },
  };
  await t.throwsAsync(inTime('it fails', client.upload('sum', noIterator)), { message: 'cannot be opened' });
  t.is(client.stats().streamsOpen, 0);
});

over('cancelling while large items wait for space leaves room for everybody else', async (t, transport) => {
  const { client } = await pair(
    t,
    transport,
    life,
    {
      ...lifeHandlers,
      items: async function* () {
        for (;;) yield pattern(100_000);
      },
    },
    { connect: { ringBytes: { toServer: 4096, toClient: 4096 } } },
  );
  for (let round = 0; round < 10; round++) {
    const items = client.duplexItems('items');
    const written = items.writeAll(
      (function* () {
        for (;;) yield pattern(50_000);
      })(),
    );
    t.is(((await inTime('a large item', items.next())).value as Uint8Array).length, 100_000);
    if (round % 2 === 0) items.destroy(new Error('enough'));
    else items.destroy();
    await inTime('the writing ends', written);
    t.is(await inTime('an upload', client.upload('sum', [1, 2])), 3);
  }
  await until('nothing is left open', () => client.stats().streamsOpen === 0);
});

over('an item that cannot be encoded or decoded ends its stream alone', async (t, transport) => {
  const { client } = await pair(t, transport, life, {
    ...lifeHandlers,
    numbers: function* () {
      yield 1;
      yield (() => 1) as unknown as number;
    },
  });
  const numbers = client.stream('numbers', 0);
  t.is((await numbers.next()).value, 1);
  await t.throwsAsync(numbers.next(), { code: 'ERR_PILLION_ENCODE' });
  await t.throwsAsync(client.upload('sum', [1, (() => 1) as unknown as number]), { code: 'ERR_PILLION_ENCODE' });
  const items = client.duplexItems('items');
  await t.throwsAsync(
    items.write(() => 1),
    { code: 'ERR_PILLION_ENCODE' },
  );
  t.true(await items.write('the next one is fine'));
  await items.end();
  t.deepEqual(await collect(items), ['the next one is fine']);
});

over('an app that ends in the middle of streams ends, and the sidecar lets go of them', async (t, transport) => {
  const path = socketPath();
  const server = await serve(life, lifeHandlers, { path });
  t.teardown(() => server.close());
  const errors: unknown[] = [];
  server.on('handlerError', (error) => errors.push(error));
  for (const [how, exit] of [
    ['exit in the middle', 'exit 7'],
    ['unref', 'exit 0'],
    ['destroy', 'exit 0'],
    ['end', 'exit 0'],
  ]) {
    const app = await startChild(new URL('./fixtures/stream-app.js', import.meta.url), {
      args: [how as string, path, transport === 'shm' ? 'auto' : 'socket'],
      isPlain: true,
    });
    const { output } = await inTime(`the app ends: ${how}`, app.exited);
    t.is(output, `connected\n${exit}\n`, how);
  }
  await until('all are gone', () => server.stats().clients === 0);
  t.deepEqual(errors, []);
});
