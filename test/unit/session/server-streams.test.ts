import test from 'ava';
import { ProtocolError, type RemoteError } from '../../../src/errors.js';
import { CALL, CANCEL, CREDIT, END, ERROR, ITEM, kindOf, MORE, nameOfKind, tagOf } from '../../../src/protocol/frame.js';
import { alignedLength } from '../../../src/ring/layout.js';
import { HEAD } from '../../../src/ring/memory.js';
import type { DuplexEnd } from '../../../src/session/duplex-end.js';
import type { HandlerContext } from '../../../src/session/handler-context.js';
import type { ItemReceiver } from '../../../src/session/item-receiver.js';
import { pattern } from '../../helpers/bytes.js';
import { giveBack, take } from '../../helpers/ring.js';
import { routeOf, startSession } from '../../helpers/server-session.js';

type Items = ItemReceiver<Uint8Array>;
type Both = DuplexEnd<Uint8Array, Uint8Array>;

interface Handlers {
  stream?: (request: Uint8Array, context: HandlerContext) => unknown;
  upload?: (items: Items, context: HandlerContext) => unknown;
  duplex?: (end: Both, context: HandlerContext) => unknown;
  method?: (request: Uint8Array) => unknown;
}

const [STREAM, UPLOAD, DUPLEX, METHOD] = [0, 1, 2, 3] as const;
const open = (target: number): number => tagOf(CALL, 0, target);
const [item, more, end, error] = [tagOf(ITEM, 0, 0), tagOf(ITEM, MORE, 0), tagOf(END, 0, 0), tagOf(ERROR, 0, 0)];
const [credit, cancel] = [tagOf(CREDIT, 0, 0), tagOf(CANCEL, 0, 0)];
const never = new Promise<never>(() => {});
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A session whose client is the test. By default the handlers do nothing for ever. */
function start({ stream, upload, duplex, method = (bytes) => bytes }: Handlers = {}, options: Parameters<typeof startSession>[1] = {}) {
  const started = startSession(
    {},
    {
      ...options,
      routes: [
        routeOf('stream', 'stream', stream ?? (() => never)),
        routeOf('upload', 'upload', (upload ?? (() => never)) as never),
        routeOf('duplex', 'duplex', (duplex ?? (() => never)) as never),
        routeOf('method', 'method', method),
      ],
    },
  );
  const told = (): string[] => started.answers().map(({ tag, correlationId }) => `${nameOfKind(kindOf(tag))} ${correlationId}`);
  /** Sends frames and lets the session take them. */
  const say = (...frames: [tag: number, id: number, payload?: Uint8Array, aux?: number][]): void => {
    for (const [tag, id, payload, aux] of frames) started.send(tag, id, payload, aux);
    started.channel.ready();
  };
  return { ...started, told, say };
}

const wrong: Record<string, [tag: number, id: number, payload?: Uint8Array, aux?: number][]> = {
  'an item of a stream, which takes none': [
    [open(STREAM), 1],
    [item, 1, pattern(1)],
  ],
  'a fragment of an item of a stream, which takes none': [
    [open(STREAM), 1],
    [more, 1, pattern(1)],
  ],
  'the end of a stream, which takes no items': [
    [open(STREAM), 1],
    [end, 1],
  ],
  'an error of the source of a stream, which has none': [
    [open(STREAM), 1],
    [error, 1, Buffer.from('{}')],
  ],
  'credit for an upload, which sends nothing': [
    [open(UPLOAD), 1],
    [credit, 1, undefined, 1000],
  ],
  'an item after the end of an upload': [
    [open(UPLOAD), 1],
    [end, 1],
    [item, 1, pattern(1)],
  ],
  'an item after the end of a duplex stream': [
    [open(DUPLEX), 1],
    [item, 1, pattern(1)],
    [end, 1],
    [item, 1, pattern(1)],
  ],
  'the end of an upload twice': [
    [open(UPLOAD), 1],
    [end, 1],
    [end, 1],
  ],
  'the end in the middle of an item': [
    [open(UPLOAD), 1],
    [more, 1, pattern(10)],
    [end, 1],
  ],
  'credit beyond 2^31-1 in sum': [
    [open(STREAM), 1, undefined, 2 ** 31 - 1],
    [credit, 1, undefined, 1],
  ],
  'credit beyond 2^31-1 in sum, in several steps': [
    [open(DUPLEX), 1],
    [credit, 1, undefined, 2 ** 30],
    [credit, 1, undefined, 2 ** 30 - 1],
    [credit, 1, undefined, 1],
  ],
  'an item without credit': [
    [open(UPLOAD), 1],
    [item, 1, pattern(1000)],
    [item, 1, pattern(1)],
    [item, 1, pattern(1)],
  ],
  'a fragment that begins an item without credit': [
    [open(UPLOAD), 1],
    [item, 1, pattern(1000)],
    [item, 1, pattern(1)],
    [more, 1, pattern(1)],
  ],
  'a fragment that is missing': [
    [open(UPLOAD), 1],
    [more, 1, pattern(10)],
    [more, 1, pattern(10), 20],
  ],
  'a fragment that overlaps': [
    [open(UPLOAD), 1],
    [more, 1, pattern(10)],
    [item, 1, pattern(10), 9],
  ],
  'an empty fragment at the end': [
    [open(UPLOAD), 1],
    [more, 1, pattern(10)],
    [item, 1, undefined, 10],
  ],
};

for (const [what, frames] of Object.entries(wrong)) {
  test(`a client ends its connection with ${what}`, async (t) => {
    const { ends, say } = start({}, { windowBytes: 1024 });
    say(...frames.slice(0, -1));
    await turn();
    t.deepEqual(ends, []);
    say(frames.at(-1) as [number, number]);
    t.true(ends[0] instanceof ProtocolError, String(ends[0]));
  });
}

test('what is for no stream that is open is ignored, whatever it is', async (t) => {
  const { ends, say, told } = start({ method: () => never });
  say([open(METHOD), 1], [open(UPLOAD), 2], [cancel, 2]);
  for (const id of [0, 1, 2, 3, 0xffffffff]) {
    say([item, id, pattern(9)], [more, id, pattern(9)], [more, id, pattern(9), 500], [end, id], [error, id, pattern(3)], [cancel, 99]);
    if (id > 0) say([credit, id, undefined, 2 ** 31 - 1]);
  }
  await turn();
  t.deepEqual(ends, []);
  t.deepEqual(told(), ['CREDIT 2']);
});

test('an item longer than the longest message fails its stream, and nothing else', async (t) => {
  const { ends, say, told, answers } = start({}, { maxMessageBytes: 2000 });
  say([open(UPLOAD), 1], [open(UPLOAD), 2], [more, 1, pattern(800)], [more, 1, pattern(800), 800], [more, 1, pattern(800), 1600]);
  t.deepEqual(told(), ['CREDIT 1', 'CREDIT 2']);
  say([item, 1, pattern(800), 2400], [item, 1, pattern(5)], [end, 1]);
  await turn();
  const [answer, ...others] = answers();
  t.is(others.length, 0);
  t.is(JSON.parse(Buffer.from(answer?.payload as Uint8Array).toString()).code, 'ERR_PILLION_TOO_LARGE');
  t.is(answer?.correlationId, 1);
  t.deepEqual(ends, []);
});

test('what has arrived of an item is forgotten with its stream, whatever ends it', async (t) => {
  const { ends, say, told } = start({
    duplex: async (both) => {
      await both.next();
      throw new Error('enough');
    },
  });
  for (let id = 1; id <= 200; id += 4) {
    say([open(UPLOAD), id], [more, id, pattern(500)], [error, id, Buffer.from('{}')]);
    say([open(UPLOAD), id + 1], [more, id + 1, pattern(500)], [cancel, id + 1]);
    say([open(DUPLEX), id + 2, undefined, 1000], [item, id + 2, pattern(1)], [more, id + 2, pattern(500)]);
    await turn();
    // The same id for another message, which the last one does not disturb.
    say([open(UPLOAD), id], [more, id, pattern(400)], [cancel, id]);
    told();
  }
  t.deepEqual(ends, []);
});

test('a server that leaves ends its streams before GOODBYE, those that wait for their turn as well', async (t) => {
  const { say, answers, session } = start({ method: () => pattern(3) }, { concurrency: 1 });
  say([open(STREAM), 1], [open(UPLOAD), 2], [open(METHOD), 3], [open(DUPLEX), 4]);
  await session.leave();
  const seen = answers();
  t.deepEqual(
    seen.map(({ tag, correlationId }) => `${nameOfKind(kindOf(tag))} ${correlationId}`),
    ['ERROR 1', 'ERROR 2', 'REPLY 3', 'ERROR 4', 'GOODBYE 0'],
  );
  for (const { tag, payload } of seen) if (tag === error) t.is(JSON.parse(Buffer.from(payload).toString()).code, 'ERR_PILLION_CLOSED');
});

test('a handler that reads no more of a duplex stream, and has said its end, is through with it', async (t) => {
  const { ends, say, told } = start(
    {
      duplex: async function* (both) {
        for await (const _ of both) break;
        yield pattern(3);
      },
    },
    { concurrency: 1 },
  );
  say([open(DUPLEX), 1, undefined, 1000], [open(METHOD), 2, pattern(2)], [item, 1, pattern(1)]);
  await turn();
  t.deepEqual(told(), ['CREDIT 1', 'CANCEL 1', 'ITEM 1', 'END 1', 'REPLY 2']);
  // It crossed the CANCEL.
  say([item, 1, pattern(1)], [more, 1, pattern(1)], [end, 1]);
  t.deepEqual(ends, []);
});

test('what crosses a CANCEL of the server is ignored, its end and its error as well', async (t) => {
  const reasons: unknown[] = [];
  const { ends, say, told } = start({
    duplex: async (both, { signal }) => {
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      await both.return();
      await never;
    },
  });
  say([open(DUPLEX), 1, undefined, 1000], [open(DUPLEX), 2, undefined, 1000]);
  await turn();
  t.deepEqual(told(), ['CANCEL 1', 'CANCEL 2']);
  say([item, 1, pattern(1)], [end, 1], [item, 2, pattern(1)], [error, 2, Buffer.from('{"code":"E_SOURCE","message":"gone"}')]);
  await turn();
  t.deepEqual(ends, []);
  // The client counts the second as over.
  t.deepEqual(
    reasons.map((reason) => (reason as RemoteError).code),
    ['E_SOURCE'],
  );
});

test('calls that wait for their turn count against the bytes of a client, empty ones too', (t) => {
  const { channel, send, ends } = start({}, { concurrency: 1, maxQueuedBytes: 10_000 });
  let sent = 0;
  for (let round = 0; round < 100 && !channel.isPaused; round++) {
    while (send(open(UPLOAD), sent + 1)) sent++;
    channel.ready();
  }
  t.true(channel.isPaused, `${sent} calls wait`);
  t.deepEqual(ends, []);
});

test('a client whose nonsense is found while the next call takes its turn loses its connection, and nothing else happens', async (t) => {
  let finish: () => void = () => {};
  const { channel, ends, say } = start(
    {
      upload: () =>
        new Promise<Uint8Array>((resolve) => {
          finish = () => resolve(pattern(8));
        }),
      method: () => pattern(900),
    },
    { concurrency: 1 },
  );
  say([open(UPLOAD), 1]);
  say(...Array.from({ length: 5 }, (_, i): [number, number] => [open(METHOD), i + 2]));
  channel.peer.outbound.control[HEAD] = 12_345;
  finish();
  await turn();
  t.true(ends[0] instanceof ProtocolError, String(ends[0]));
});

test('credit is what limits a producer, and an item longer than the credit still gets through', async (t) => {
  let made = 0;
  const { say, answers } = start({
    stream: function* () {
      for (;;) yield pattern(++made % 10 === 0 ? 900 : 100);
    },
  });
  say([open(STREAM), 1, undefined, 1]);
  await turn();
  t.is(answers().length, 1);
  // The first has cost more than there was.
  say([credit, 1, undefined, alignedLength(100) - 1]);
  await turn();
  t.is(answers().length, 0);
  say([credit, 1, undefined, 1]);
  await turn();
  t.is(answers().length, 1);
  say([credit, 1, undefined, 8 * alignedLength(100)]);
  await turn();
  // Eight small ones, of which the last begins the debt, and then nothing.
  t.is(answers().length, 8);
  say([credit, 1, undefined, alignedLength(900) - 1]);
  await turn();
  t.is(answers().length, 0);
  say([credit, 1, undefined, 1]);
  await turn();
  t.is(answers().length, 1);
});

test('a client that grants much and reads nothing holds up its own streams alone', async (t) => {
  let made = 0;
  const { channel, session, say, ends } = start({
    stream: function* () {
      for (;;) yield pattern(500 + (made++ % 3));
    },
  });
  for (let id = 1; id <= 30; id++) say([open(STREAM), id, undefined, 2 ** 31 - 1]);
  for (let round = 0; round < 20; round++) await turn();
  // Of each stream one item waits, and the ring is full.
  t.true(made < 30 * 3, `${made} items were made`);
  t.deepEqual(ends, []);
  // It reads on: what it is told is right, and in order.
  const { consumer } = channel.peer;
  for (let round = 0; round < 200; round++) {
    while (take(consumer) !== null);
    giveBack(consumer);
    channel.ready();
    await turn();
  }
  t.true(made > 200, `${made} items were made`);
  session.end(null);
});

test('a stream whose client grants nothing is kept, costs nothing, and ends with a CANCEL', async (t) => {
  let made = 0;
  const reasons: unknown[] = [];
  const { say, told, ends } = start({
    stream: (_request, { signal }) => {
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      return (async function* () {
        for (;;) {
          made++;
          yield pattern(1);
        }
      })();
    },
  });
  say([open(STREAM), 1]);
  await turn();
  t.is(made, 0);
  say([cancel, 1]);
  await turn();
  t.is(reasons.length, 1);
  t.deepEqual(told(), []);
  t.deepEqual(ends, []);
});

test('an upload is answered behind its end, and then takes nothing', async (t) => {
  const { say, told, ends } = start({
    upload: async (items) => {
      let length = 0;
      for await (const bytes of items) length += bytes.length;
      return pattern(length);
    },
  });
  say([open(UPLOAD), 7]);
  say([item, 7, pattern(3)], [more, 7, pattern(10)], [item, 7, pattern(5), 10], [end, 7]);
  await turn();
  t.deepEqual(told(), ['CREDIT 7', 'REPLY 7']);
  say([item, 7, pattern(3)], [end, 7], [cancel, 7]);
  t.deepEqual(ends, []);
});
