import { once } from 'node:events';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import test from 'ava';
import { connect, contract, type DuplexSocket, duplex, duplexHandler, type HandlerContext } from '../../src/index.js';
import { digest, pattern } from '../helpers/bytes.js';
import { inTime, until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { over, pair } from './fixtures/pair.js';

/** A duplex stream as a Node stream, at both ends. */

const wires = contract('wires', {
  bytes: duplex<Uint8Array, Uint8Array>({ codec: 'raw' }),
  objects: duplex<unknown, unknown>(),
});

type OnSocket = (socket: DuplexSocket, context: HandlerContext) => unknown;
const unused: OnSocket = (socket) => socket.destroy();
const bytes = (onSocket: OnSocket) => ({ bytes: duplexHandler(onSocket), objects: duplexHandler(unused) });
const objects = (onSocket: OnSocket) => ({ bytes: duplexHandler(unused), objects: duplexHandler(onSocket) });

const closed = (socket: DuplexSocket) => until('the stream closes', () => socket.closed);
/** Everything up to the end. A loop over the stream would destroy both directions. */
async function read(socket: DuplexSocket): Promise<string> {
  let all = '';
  socket.on('data', (chunk) => (all += chunk));
  await inTime('the end', once(socket, 'end'));
  return all;
}
/** The error that a stream emits, and that it emits none after it. */
function errorOf(socket: DuplexSocket): Promise<NodeJS.ErrnoException> {
  const errors: NodeJS.ErrnoException[] = [];
  socket.on('error', (error) => errors.push(error));
  return inTime(
    'the stream fails',
    new Promise((resolve, reject) => {
      socket.once('close', () =>
        setImmediate(() => (errors.length === 1 ? resolve(errors[0] as Error) : reject(new Error(`${errors.length} errors`)))),
      );
    }),
  );
}

over('bytes of all sizes come back whole and in order, and both ends close', async (t, transport) => {
  const ends: string[] = [];
  const { client, handlerErrors } = await pair(
    t,
    transport,
    wires,
    bytes((socket) => {
      socket.once('close', () => ends.push('closed'));
      socket.pipe(socket);
    }),
  );
  const socket = client.duplex('bytes');
  const sizes = [0, 1, 7, 63, 64, 65, 4095, 65_520, 65_536, 65_537, 262_144, 1_000_000, 3];
  const sent = sizes.map((size, index) => Buffer.from(pattern(size, index)));
  const all = buffer(socket);
  for (const chunk of sent) socket.write(chunk);
  socket.end();
  t.is(digest(await inTime('the echo', all)), digest(Buffer.concat(sent)));
  await until('both ends are closed', () => socket.closed && ends.length === 1 && client.stats().streamsOpen === 0);
  t.is(socket.bytesWritten, socket.bytesRead);
  t.deepEqual(handlerErrors, []);
});

over('objects keep their borders, and null is refused, not taken for the end', async (t, transport) => {
  const { client } = await pair(t, transport, wires, {
    bytes: duplexHandler(unused),
    objects: async function* (end) {
      for await (const item of end) yield { item };
      yield null;
    },
  });
  const socket = client.duplex('objects');
  socket.write({ a: 1 });
  socket.write('text');
  socket.end(undefined);
  const failed = errorOf(socket);
  const seen: unknown[] = [];
  socket.on('data', (item) => seen.push(item));
  t.is((await failed).code, 'ERR_PILLION_DECODE');
  t.deepEqual(seen, [{ item: { a: 1 } }, { item: 'text' }]);
});

over('each direction ends by itself', async (t, transport) => {
  const { client } = await pair(
    t,
    transport,
    wires,
    bytes(async (socket) => {
      socket.end('ended first');
      t.is(await read(socket), 'still written after that');
    }),
  );
  const socket = client.duplex('bytes');
  t.is(await read(socket), 'ended first');
  t.true(socket.writable);
  socket.end('still written after that');
  await closed(socket);
  t.is(client.stats().streamsOpen, 0);
});

over('without allowHalfOpen the end of the other side is the end of this one', async (t, transport) => {
  const { client } = await pair(
    t,
    transport,
    wires,
    bytes((socket) => socket.resume().end('bye')),
  );
  const socket = client.duplex('bytes', { allowHalfOpen: false });
  t.is(await read(socket), 'bye');
  await closed(socket);
  t.true(socket.writableFinished);
});

over('the error that one end is destroyed with is the error of the other one', async (t, transport) => {
  const failures: unknown[] = [];
  const { client, handlerErrors } = await pair(
    t,
    transport,
    wires,
    bytes((socket) => {
      socket.on('error', (error) => failures.push(error));
      socket.once('data', () => socket.destroy(Object.assign(new Error('no thanks'), { code: 'ENOTHANKS' })));
    }),
  );
  const socket = client.duplex('bytes');
  socket.write('hello');
  const error = await errorOf(socket.resume());
  t.deepEqual([error.code, error.message], ['ENOTHANKS', 'no thanks']);
  t.is(failures.length, 1);
  t.is(handlerErrors.length, 1);
  t.is(client.stats().streamsOpen, 0);
});

over('an app that destroys its end makes the other one fail, and nothing else', async (t, transport) => {
  const failures: NodeJS.ErrnoException[] = [];
  const sockets: DuplexSocket[] = [];
  const { client, handlerErrors } = await pair(
    t,
    transport,
    wires,
    bytes((socket) => {
      sockets.push(socket);
      // No listener for errors of its own.
      socket.pipe(socket);
    }),
  );
  const socket = client.duplex('bytes');
  socket.on('error', (error) => failures.push(error));
  socket.write('hello');
  await once(socket, 'data');
  socket.destroy(new Error('enough'));
  await until('the other end is closed', () => sockets[0]?.closed === true);
  t.is((sockets[0]?.errored as NodeJS.ErrnoException | undefined)?.code, 'ERR_PILLION_CLOSED');
  t.deepEqual(
    failures.map(({ message }) => message),
    ['enough'],
  );
  t.deepEqual(handlerErrors, []);
});

over('destroy() without an error looks like the closing of a socket to the other side', async (t, transport) => {
  const seen: string[] = [];
  const { client, handlerErrors } = await pair(
    t,
    transport,
    wires,
    bytes((socket) => {
      socket
        .on('error', (error) => seen.push(error.message))
        .on('end', () => seen.push('end'))
        .on('close', () => seen.push('close'));
      socket.once('data', () => socket.write('answer')).resume();
    }),
  );
  const socket = client.duplex('bytes');
  socket.write('question');
  t.is(String((await once(socket, 'data'))[0]), 'answer');
  socket.destroy();
  await until('the other end is closed', () => seen.includes('close'));
  t.deepEqual(seen, ['end', 'close']);
  t.deepEqual(handlerErrors, []);
});

over('a sidecar that closes its end lets the app read what was sent, and closes the idle one', async (t, transport) => {
  const { client, handlerErrors } = await pair(
    t,
    transport,
    wires,
    bytes((socket) => socket.end('last words', () => socket.destroy())),
  );
  const socket = client.duplex('bytes');
  t.is(await read(socket), 'last words');
  await closed(socket);
  t.is(socket.errored, null);
  const second = client.duplex('bytes');
  await until('it is over', () => client.stats().streamsOpen === 0);
  second.write('too late');
  t.is((await errorOf(second.resume())).code, 'ERR_PILLION_CLOSED');
  t.deepEqual(handlerErrors, []);
});

over('a reader that stops stops the writer, in both directions, within the window', async (t, transport) => {
  const sockets: DuplexSocket[] = [];
  const { client } = await pair(
    t,
    transport,
    wires,
    bytes((socket) => void sockets.push(socket.on('error', () => {}))),
    {
      connect: { windowBytes: 65_536 },
      serve: { windowBytes: 65_536 },
    },
  );
  const socket = client.duplex('bytes').on('error', () => {});
  await until('the handler runs', () => sockets.length === 1);
  const other = sockets[0] as DuplexSocket;
  for (const [writer, reader] of [
    [socket, other],
    [other, socket],
  ] as const) {
    let written = 0;
    let total = 0;
    const chunk = pattern(10_000);
    const write = (): void => {
      while (total < 4_000_000 && writer.write(chunk, () => (written += chunk.length))) total += chunk.length;
    };
    write();
    writer.on('drain', write);
    let last = -1;
    await until('nothing more is taken', async () => {
      const same = written === last;
      last = written;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return same;
    });
    t.true(written <= 65_536 + 32_768, `${written} bytes were taken from a writer whose reader does not read`);
    t.true(writer.writableNeedDrain);
    reader.resume();
    await until('the rest comes when it is read', () => written >= 4_000_000);
  }
  socket.destroy();
});

over('a write of many megabytes is cut into items below the window', async (t, transport) => {
  let longest = 0;
  const { client } = await pair(
    t,
    transport,
    wires,
    {
      objects: duplexHandler(unused),
      bytes: async function* (end) {
        let sum = 0;
        for await (const item of end) {
          longest = Math.max(longest, item.length);
          sum += item.length;
        }
        yield Buffer.from(String(sum));
      },
    },
    { serve: { windowBytes: 20_000 } },
  );
  const socket = client.duplex('bytes');
  socket.end(pattern(5_000_000));
  t.is(await inTime('the answer', text(socket)), '5000000');
  t.true(longest <= 10_000, `one item had ${longest} bytes`);
});

over('setTimeout tells of silence, again and again, and keeps quiet while something is said', async (t, transport) => {
  const { client } = await pair(
    t,
    transport,
    wires,
    bytes((socket) => socket.pipe(socket)),
  );
  const socket = client.duplex('bytes');
  let timeouts = 0;
  socket.setTimeout(20, () => timeouts++);
  socket.on('timeout', () => socket.write('wake up'));
  await inTime('the first echo', once(socket, 'data'));
  t.is(socket.timeout, 20);
  t.is(timeouts, 1);
  await inTime('the second echo', once(socket, 'data'));
  socket.setTimeout(0);
  t.is(socket.timeout, 0);
  t.throws(() => socket.setTimeout(-1), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  socket.removeAllListeners('timeout');
  socket.end();
  await closed(socket.resume());
});

over('the sidecar goes: what had arrived is read, then the error is told, once', async (t, transport) => {
  const { client, server } = await pair(
    t,
    transport,
    wires,
    bytes((socket) => {
      socket.on('error', () => {});
      socket.write('before');
    }),
  );
  const socket = client.duplex('bytes');
  await once(socket, 'readable');
  const failed = errorOf(socket);
  await server.close();
  t.is(String(socket.read()), 'before');
  t.is((await failed).code, 'ERR_PILLION_CLOSED');
});

over('closing the client, a timeout and a signal end an open one with their reasons', async (t, transport) => {
  const { client } = await pair(
    t,
    transport,
    wires,
    bytes((socket) => socket.resume()),
  );
  const controller = new AbortController();
  const byTimeout = client.duplex('bytes', { timeout: 10 });
  const bySignal = client.duplex('bytes', { signal: controller.signal });
  const byClose = client.duplex('bytes');
  t.is((await errorOf(byTimeout)).code, 'ERR_PILLION_TIMEOUT');
  controller.abort(new Error('aborted'));
  t.is((await errorOf(bySignal)).message, 'aborted');
  const failed = errorOf(byClose);
  await client.close();
  t.is((await failed).code, 'ERR_PILLION_CLOSED');
  t.is((await errorOf(client.duplex('bytes'))).code, 'ERR_PILLION_CLOSED');
});

test('what cannot be opened says so by an event; a wrong call throws', async (t) => {
  const client = connect(wires, { path: socketPath() });
  t.teardown(() => client.close());
  t.is((await errorOf(client.duplex('bytes', { signal: AbortSignal.abort(new Error('before')) }))).message, 'before');
  t.throws(() => client.duplex('other' as 'bytes'), { code: 'ERR_PILLION_UNKNOWN_NAME' });
  t.throws(() => client.duplex('bytes', { windowBytes: 0 }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
});

over('pipeline works in all roles, and a failing source breaks the stream off', async (t, transport) => {
  const { client } = await pair(
    t,
    transport,
    wires,
    bytes((socket) => pipeline(socket, socket)),
  );
  const parts = Array.from({ length: 50 }, (_, index) => Buffer.from(pattern(10_000, index)));
  const socket = client.duplex('bytes');
  const result = await inTime(
    'the pipeline',
    pipeline(Readable.from(parts), socket, (source) => buffer(source)),
  );
  t.is(digest(result), digest(Buffer.concat(parts)));
  const failing = async function* () {
    yield Buffer.from('x');
    throw new Error('source failed');
  };
  await t.throwsAsync(
    inTime(
      'the failure',
      pipeline(failing, client.duplex('bytes'), (source) => buffer(source)),
    ),
    { message: 'source failed' },
  );
  await until('nothing is left open', () => client.stats().streamsOpen === 0);
});

over('a handler that throws, at once or later, ends its stream alone', async (t, transport) => {
  const { client, handlerErrors } = await pair(
    t,
    transport,
    wires,
    objects(async (socket) => {
      const [mode] = await once(socket, 'data');
      if (mode === 'throw') throw new Error('handler failed');
      socket.end('fine');
    }),
  );
  const [good, bad] = [client.duplex('objects'), client.duplex('objects')];
  bad.write('throw');
  t.is((await errorOf(bad.resume())).message, 'handler failed');
  good.end('work');
  t.deepEqual(await inTime('the other one', good.toArray()), ['fine']);
  t.is(handlerErrors.length, 1);
});
