/** Compiled, never run: streams in all their forms know the contract. */
import { createServer } from 'node:http';
import type { Duplex, Readable, Writable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import {
  connect,
  contract,
  type DuplexEnd,
  type DuplexSocket,
  duplex,
  duplexHandler,
  type HandlerContext,
  type Handlers,
  type ItemReceiver,
  stream,
  type UploadWritable,
  upload,
} from '../../src/index.js';
import type { Equal, Expect } from './expect.js';

interface Line {
  text: string;
}

const streams = contract('streams', {
  tail: stream<{ level: string }, Line>(),
  all: stream<void, Line>(),
  count: upload<Line, number>(),
  store: upload<Uint8Array, Uint8Array>({ codec: 'raw' }),
  chat: duplex<Line, string>(),
  http: duplex<Uint8Array, Uint8Array>({ codec: 'raw' }),
});

const client = connect(streams);
const http = createServer();

export async function clients(signal: AbortSignal, node: Readable, web: ReadableStream<Line>): Promise<void> {
  const items = client.stream('tail', { level: 'x' }, { signal, timeout: 5, windowBytes: 1000 });
  const readable: Readable = client.stream('all').toReadable();
  for await (const item of items) {
    type _Item = Expect<Equal<typeof item, Line>>;
  }
  const count = await client.upload('count', [{ text: 'x' }], { signal });
  await client.upload('count', web);
  await client.upload('store', node);
  const writable = client.uploadWritable('count', { timeout: 5 });
  const result = await writable.result;
  const socket = client.duplex('http', { allowHalfOpen: false, windowBytes: 1000, signal });
  const end = client.duplexItems('chat');
  type _Types = [
    Expect<Equal<typeof items, ItemReceiver<Line>>>,
    Expect<Equal<typeof count, number>>,
    Expect<Equal<typeof writable, UploadWritable<number>>>,
    Expect<Equal<typeof result, number>>,
    Expect<Equal<typeof socket, DuplexSocket>>,
    Expect<Equal<typeof end, DuplexEnd<string, Line>>>,
  ];
  const [asDuplex, asWritable]: [Duplex, Writable] = [socket.setNoDelay().setKeepAlive().setTimeout(5).ref().unref(), writable];
  const written: boolean = await end.write({ text: 'x' });
  const other: Duplex = end.toDuplex({ allowHalfOpen: true });
  void [readable, asDuplex, asWritable, written, other];
  // @ts-expect-error the request is missing
  client.stream('tail');
  // @ts-expect-error a stream is no duplex
  client.duplex('tail');
  // @ts-expect-error a duplex is no upload
  client.uploadWritable('chat');
  // @ts-expect-error the items have another type
  client.upload('count', [1, 2]);
  // @ts-expect-error the item has another type
  void end.write('x');
  // @ts-expect-error an upload has no window of the app's
  client.uploadWritable('count', { windowBytes: 5 });
}

export const handlers: Handlers<typeof streams.definitions> = {
  tail: async function* ({ level }, { signal }) {
    if (!signal.aborted) yield { text: level };
  },
  all: () => [],
  count: async (items) => {
    type _Items = Expect<Equal<typeof items, ItemReceiver<Line>>>;
    return (await items.toReadable().toArray()).length;
  },
  store: (items) => {
    const readable: Readable = items.toReadable();
    return readable.read() as Uint8Array;
  },
  chat: duplexHandler((socket, context) => {
    type _Types = [Expect<Equal<typeof socket, DuplexSocket>>, Expect<Equal<typeof context, HandlerContext>>];
    socket.pipe(socket);
  }),
  http: duplexHandler((socket) => http.emit('connection', socket), { allowHalfOpen: false }),
};

export const others: Pick<Handlers<typeof streams.definitions>, 'chat' | 'all'> = {
  chat: async (end) => {
    type _End = Expect<Equal<typeof end, DuplexEnd<Line, string>>>;
    await end.write('hello');
    await end.end();
  },
  // @ts-expect-error the items have another type
  all: () => ['x'],
};
