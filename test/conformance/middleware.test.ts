import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import {
  type Client,
  type ClientMiddleware,
  type ClientMiddlewareContext,
  connect,
  type Middleware,
  type Server,
  type ServerMiddleware,
  type ServerMiddlewareContext,
  serve,
} from '../../src/index.js';
import { type Child, startChild } from '../helpers/child.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { type Seen, withContext } from './fixtures/context-contract.js';
import { handlers, noted } from './fixtures/context-handlers.js';
import { type Transport, transportOptions } from './fixtures/suite.js';

type D = (typeof withContext)['definitions'];

interface Both {
  client: Client<D>;
  server: Server<D>;
  failures: unknown[];
}

/** A client and a server, in one process so that tests can hand them middleware. */
async function start(
  t: ExecutionContext,
  transport: Transport,
  use: { client?: ClientMiddleware[]; server?: ServerMiddleware[] },
): Promise<Both> {
  const path = socketPath();
  const server = await serve(withContext, handlers, { path, use: use.server });
  const client = connect(withContext, { path, use: use.client, ...transportOptions(transport) });
  const failures: unknown[] = [];
  server.on('handlerError', (error) => failures.push((error as Error).message));
  t.teardown(async () => {
    await client.close();
    await server.close({ timeout: 100 });
  });
  await client.ready({ timeout: 20_000 });
  t.is(client.status().transport, transport);
  noted.splice(0);
  return { client, server, failures };
}

function over(title: string, body: (t: ExecutionContext, transport: Transport) => Promise<void>): void {
  for (const transport of ['shm', 'socket'] as Transport[]) test.serial(`${transport}: ${title}`, (t) => body(t, transport));
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const invalid = { code: 'ERR_PILLION_INVALID_ARGUMENT' } as const;

over('every kind of message goes through the middleware of both sides, the first outermost', async (t, transport) => {
  const log: string[] = [];
  const layer =
    (label: string): Middleware =>
    (context, next) => {
      log.push(`${context.side} ${label} ${context.kind} ${context.name}`);
      const result = next();
      log.push(`${context.side} ${label} done`);
      return result;
    };
  const layers = [layer('outer'), layer('inner')];
  const { client } = await start(t, transport, { client: layers, server: layers });
  const expected = (kind: string, name: string) =>
    ['client', 'server'].flatMap((side) => [
      `${side} outer ${kind} ${name}`,
      `${side} inner ${kind} ${name}`,
      `${side} inner done`,
      `${side} outer done`,
    ]);
  const took = async (kind: string, name: string, work: () => unknown): Promise<void> => {
    await work();
    await client.flush();
    t.deepEqual(log.splice(0), expected(kind, name));
  };
  await took('event', 'note', () => client.send('note', 1));
  await took('event', 'note', () => client.sendWhenFree('note', 1));
  await took('method', 'see', () => client.call('see', 1));
  await took('stream', 'list', () => all(client.stream('list', 1)));
  await took('upload', 'put', () => client.upload('put', [1]));
  await took('upload', 'put', () => {
    const writable = client.uploadWritable('put');
    writable.end(1);
    return writable.result;
  });
  await took('duplex', 'talk', async () => {
    const talk = client.duplexItems('talk');
    await talk.end();
    await all(talk);
  });
});

over('payload and headers may be replaced on both sides', async (t, transport) => {
  const client: ClientMiddleware = (context, next) => {
    context.headers['client'] = 'yes';
    if (context.kind === 'upload') context.payload = ['other'];
    else if (context.payload !== undefined) context.payload = `${context.payload}!`;
    return next();
  };
  const server: ServerMiddleware = (context, next) => {
    t.true(Object.isFrozen(context.headers));
    context.headers = { ...context.headers, server: 'too' };
    if (context.kind === 'method' || context.kind === 'event' || context.kind === 'stream') context.payload = `${context.payload}?`;
    return next();
  };
  const both = await start(t, transport, { client: [client], server: [server] });
  const headers = { client: 'yes', mine: '1', server: 'too' };
  const given = { headers: { mine: '1' } };
  const check = (seen: Seen | undefined, value: unknown): void => {
    t.deepEqual([seen?.headers, seen?.isFrozen, seen?.hasPrototype, seen?.value], [headers, true, false, value]);
  };
  check(await both.client.call('see', 'x', given), 'x!?');
  both.client.send('note', 'x', given);
  await both.client.sendWhenFree('note', 'y', given);
  await both.client.flush();
  const [first, second] = noted.splice(0);
  check(first, 'x!?');
  check(second, 'y!?');
  check((await all(both.client.stream('list', 'x', given)))[0], 'x!?');
  const put = await both.client.upload('put', ['mine'], given);
  check(put, null);
  t.deepEqual(put.items, ['other']);
  const writable = both.client.uploadWritable('put', given);
  writable.end('mine');
  check(await writable.result, null);
  t.deepEqual(given, { headers: { mine: '1' } });
});

over('what was opened is closed when a middleware gives back something else', async (t, transport) => {
  const { client, server } = await start(t, transport, { client: [async (_context, next) => next()] });
  t.throws(() => client.stream('list', 1), invalid);
  t.throws(() => client.duplexItems('talk'), invalid);
  t.throws(() => client.uploadWritable('put'), invalid);
  await until('every stream is over', () => server.stats().streamsOpen === 0);
});

over('what opens a writable may refuse it, and answer with nothing but it', async (t, transport) => {
  let answer: ClientMiddleware = () => {
    throw new Error('not allowed');
  };
  const controller = new AbortController();
  const { client } = await start(t, transport, { client: [(context, next) => answer(context, next)] });
  t.throws(() => client.uploadWritable('put'), { message: 'not allowed' });
  answer = () => undefined;
  t.throws(() => client.uploadWritable('put'), invalid);
  answer = async (_context, next) => next();
  t.throws(() => client.uploadWritable('put'), invalid);
  answer = (context, next) => {
    context.signal = controller.signal;
    return next();
  };
  const writable = client.uploadWritable('put');
  const failed = new Promise<unknown>((resolve) => writable.once('error', resolve));
  controller.abort(new Error('enough'));
  t.is(((await failed) as Error).message, 'enough');
  await t.throwsAsync(writable.result, { message: 'enough' });
});

over('a middleware may answer by itself: the rest never hears of it', async (t, transport) => {
  const own: Seen = { headers: {}, isFrozen: false, hasPrototype: false, names: [], value: 'cached' };
  const items = async function* () {
    yield own;
  };
  const client: ClientMiddleware = ({ name, payload }) => {
    if (payload === 'refuse') return false;
    return name === 'list' ? items() : own;
  };
  const short = await start(t, transport, { client: [client] });
  t.deepEqual(await short.client.call('see', 1), own);
  t.deepEqual(await all(short.client.stream('list', 1)), [own]);
  t.deepEqual((await short.client.upload('put', [1])) as Seen, own);
  t.false(short.client.send('note', 'refuse'));
  t.false(short.client.send('note', 'anything'), 'what is no boolean says nothing of an event that was never sent');
  await short.client.sendWhenFree('note', 1);
  t.like(short.client.stats(), { eventsSent: 0, eventsDropped: 0, callsSent: 0 });

  const server: ServerMiddleware = ({ kind }) => (kind === 'stream' ? [own] : own);
  const answered = await start(t, transport, { server: [server] });
  t.deepEqual(await answered.client.call('see', 1), own);
  t.deepEqual(await all(answered.client.stream('list', 1)), [own]);
  t.deepEqual((await answered.client.upload('put', [1])) as Seen, own);
  answered.client.send('note', 1);
  await answered.client.flush();
  t.deepEqual(noted.splice(0), []);
  t.deepEqual(answered.failures, []);
});

over('a middleware that forgets to return what next returned does not lose an accepted event', async (t, transport) => {
  const { client } = await start(t, transport, { client: [(_context, next) => void next()] });
  t.true(client.send('note', 1));
  t.is(await client.call('see', 1), undefined as never);
});

over('what a middleware throws is what the caller gets', async (t, transport) => {
  const failing: Middleware = ({ side }) => {
    throw Object.assign(new Error(`no, says the ${side}`), { code: 'ERR_NO' });
  };
  for (const async of [false, true]) {
    const middleware: Middleware = async ? async (context, next) => failing(context, next) : failing;
    const near = await start(t, transport, { client: [(context, next) => (context.isSync ? failing : middleware)(context, next)] });
    const { client } = near;
    const expected = { code: 'ERR_NO', message: 'no, says the client' };
    t.throws(() => client.send('note', 1), expected);
    t.throws(() => client.callSync('see', 1), expected);
    t.throws(() => client.stream('list', 1), expected);
    t.throws(() => client.duplexItems('talk'), expected);
    await t.throwsAsync(client.call('see', 1), expected);
    await t.throwsAsync(client.upload('put', [1]), expected);
    await t.throwsAsync(client.sendWhenFree('note', 1), expected);

    const far = await start(t, transport, { server: [middleware] });
    const remote = { name: 'RemoteError', code: 'ERR_NO', message: 'no, says the server' };
    await t.throwsAsync(far.client.call('see', 1), remote);
    await t.throwsAsync(all(far.client.stream('list', 1)), remote);
    await t.throwsAsync(far.client.upload('put', [1]), remote);
    t.true(far.client.send('note', 1));
    await far.client.flush();
    await until('all failures', () => far.failures.length === 4);
    t.is(far.client.stats().bufferedBytes, 0, 'the event is released');
    t.deepEqual(noted.splice(0), []);
  }
});

over('a middleware may wait, measure, and change what comes back', async (t, transport) => {
  const times: number[] = [];
  const slow: Middleware = async (_context, next) => {
    const begin = performance.now();
    await sleep(1);
    const result = await next();
    times.push(performance.now() - begin);
    return result;
  };
  const { client } = await start(t, transport, {
    client: [(context, next) => (context.isSync ? next() : slow(context, next))],
    server: [
      slow,
      async (_context, next) => {
        const result = await next();
        return typeof result === 'object' && result !== null && 'value' in result ? { ...result, value: 'changed' } : result;
      },
    ],
  });
  t.is((await client.call('see', 1)).value, 'changed');
  t.is(times.length, 2);
  t.true(times.every((time) => time > 0));
  for (let n = 0; n < 20; n++) client.send('note', n);
  await client.flush();
  t.deepEqual(
    noted.splice(0).map(({ value }) => value),
    Array.from({ length: 20 }, (_, n) => n),
  );
});

over('next may be called again for a method: a retry, on either side', async (t, transport) => {
  let attempts = 0;
  const twice: Middleware = async (context, next) => {
    if (context.kind !== 'method') return next();
    attempts++;
    await Promise.resolve(next()).catch(() => {});
    attempts++;
    return next();
  };
  const { client, failures } = await start(t, transport, {
    client: [(context, next) => (context.isSync ? next() : twice(context, next))],
    server: [twice],
  });
  t.is((await client.call('see', 5)).value, 5);
  t.is(attempts, 2 + 4);
  await t.throwsAsync(client.call('fail', 'again'), { code: 'ERR_FAILED' });
  t.is(failures.length, 2);
  t.is(client.stats().callsSent, 4);
});

over('next called twice for anything else is an error of the middleware', async (t, transport) => {
  const twice: Middleware = (_context, next) => {
    next();
    return next();
  };
  const near = await start(t, transport, { client: [twice] });
  const message = /called next\(\) twice for event "note"/;
  t.throws(() => near.client.send('note', 1), { ...invalid, message });
  await t.throwsAsync(near.client.sendWhenFree('note', 2), { ...invalid, message });
  await t.throwsAsync(near.client.upload('put', [1]), invalid);
  t.throws(() => near.client.stream('list', 1), invalid);
  await near.client.flush();
  t.deepEqual(
    noted.splice(0).map(({ value }) => value),
    [1, 2],
  );
  const far = await start(t, transport, { server: [twice] });
  far.client.send('note', 3);
  await far.client.flush();
  await until('the failure', () => far.failures.length === 1);
  t.regex(far.failures[0] as string, message);
});

over('a promise is refused where the caller cannot wait, and next comes too late then', async (t, transport) => {
  const late: unknown[] = [];
  const asynchronous: ClientMiddleware = async (_context, next) => {
    await sleep(1);
    try {
      return next();
    } catch (error) {
      late.push((error as Error).message);
      throw error;
    }
  };
  const { client } = await start(t, transport, { client: [asynchronous] });
  t.throws(() => client.send('note', 1), { ...invalid, message: /answered send "note" with a promise/ });
  t.throws(() => client.stream('list', 1), invalid);
  t.throws(() => client.duplexItems('talk'), invalid);
  t.throws(() => client.callSync('see', 1), { ...invalid, message: /answered callSync "see" with a promise/ });
  await until('all calls of next', () => late.length === 4);
  t.regex(late[0] as string, /called next\(\) after send "note" had returned/);
  t.is((await client.call('see', 1)).value, 1);
  t.like(client.stats(), { eventsSent: 0, streamsOpen: 0, callsSent: 1 });
});

over('a stream that is answered with nothing to iterate over is an error', async (t, transport) => {
  for (const result of [undefined, null, 5, {}, [1]]) {
    const { client } = await start(t, transport, { client: [() => result] });
    t.throws(() => client.stream('list', 1), { ...invalid, message: /no async iterable/ });
  }
});

over('a middleware is told who asks, and may give the call a signal of its own', async (t, transport) => {
  const seen: (ClientMiddlewareContext | ServerMiddlewareContext)[] = [];
  const controller = new AbortController();
  const { client } = await start(t, transport, {
    client: [
      (context, next) => {
        seen.push(context);
        if (context.name === 'seeLater') context.signal = controller.signal;
        return next();
      },
    ],
    server: [
      (context, next) => {
        seen.push(context);
        return next();
      },
    ],
  });
  const { signal } = new AbortController();
  await client.call('see', 1, { signal, timeout: 4000 });
  const [near, far] = seen as [ClientMiddlewareContext, ServerMiddlewareContext];
  t.like(near, { side: 'client', contract: 'with-context', kind: 'method', name: 'see', signal, isSync: false });
  t.like(far, { side: 'server', contract: 'with-context', kind: 'method', name: 'see', redelivered: false, timeoutMs: 4000 });
  t.is(far.peer.uid, transport === 'shm' ? process.getuid?.() : far.peer.uid);
  t.is(far.clientId.length, 36);
  t.true(far.signal instanceof AbortSignal);
  t.is(typeof far.sequence, 'number');
  const call = client.call('seeLater', 60_000);
  controller.abort(new Error('enough'));
  await t.throwsAsync(call, { message: 'enough' });
});

over('headers that a middleware spoils are an error of that message', async (t, transport) => {
  const near = await start(t, transport, {
    client: [
      (context, next) => {
        context.headers['n'] = 5 as never;
        return next();
      },
    ],
  });
  t.throws(() => near.client.send('note', 1), { ...invalid, message: /header "n"/ });
  await t.throwsAsync(near.client.call('see', 1), invalid);
  const far = await start(t, transport, {
    server: [
      (context, next) => {
        context.headers = { n: 5 as never };
        return next();
      },
    ],
  });
  await t.throwsAsync(far.client.call('see', 1), { name: 'RemoteError', ...invalid });
});

test('what is no middleware is refused at once', async (t) => {
  for (const use of [5, {}, 'x', [5], [null], [{}]] as never[]) {
    t.throws(() => connect(withContext, { path: socketPath(), use }), invalid);
    await t.throwsAsync(serve(withContext, handlers, { path: socketPath(), use }), invalid);
  }
});

for (const transport of ['shm', 'socket'] as Transport[]) {
  test(`${transport}: callSync goes through synchronous middleware`, async (t) => {
    const path = socketPath();
    const sidecar: Child = await startChild(new URL('./fixtures/context-sidecar.js', import.meta.url), { args: [path] });
    t.teardown(() => sidecar.stop());
    const isSync: boolean[] = [];
    const client = connect(withContext, {
      path,
      ...transportOptions(transport),
      use: [
        (context, next) => {
          isSync.push(context.isSync);
          context.headers['sync'] = 'yes';
          const result = next() as Seen;
          return { ...result, value: `${result.value}!` };
        },
      ],
    });
    t.teardown(() => client.close());
    await client.ready({ timeout: 20_000 });
    t.like(client.callSync('see', 'x'), { value: 'x!', headers: { sync: 'yes' } });
    t.deepEqual(isSync, [true]);
    t.throws(() => client.callSync('fail', 'x'), { code: 'ERR_FAILED' });
  });
}
