import { once } from 'node:events';
import { Agent, createServer, type Server as HttpServer, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { Agent as UndiciAgent, fetch as undiciFetch, request as undiciRequest } from 'undici';
import { type Client, contract, duplex, duplexHandler } from '../../src/index.js';
import { digest, pattern } from '../helpers/bytes.js';
import { inTime, until } from '../helpers/deadline.js';
import { over, pair } from './fixtures/pair.js';

/** Existing HTTP code over a duplex stream: nothing of it knows that there is no network. */

const web = contract('web', {
  http: duplex<Uint8Array, Uint8Array>({ codec: 'raw' }),
  http2: duplex<Uint8Array, Uint8Array>({ codec: 'raw' }),
});
type WebClient = Client<(typeof web)['definitions']>;

function httpServer(): HttpServer {
  return createServer(async (req, res) => {
    if (req.url === '/hang') return;
    if (req.url === '/refuse') {
      res.writeHead(413, { connection: 'close' }).end('too large');
      return;
    }
    if (req.url === '/large') {
      res.end(pattern(1_000_000));
      return;
    }
    const body = await buffer(req);
    res.setHeader('x-digest', digest(body));
    res.end(`${req.method} ${req.url} ${body.length}`);
  });
}

const http2 = createHttp2Server((req, res) => void buffer(req).then((body) => res.end(`${req.method} ${req.url} ${body.length}`)));

function handlers(http: HttpServer, sockets: Duplex[] = []) {
  return {
    http: duplexHandler((socket) => {
      sockets.push(socket);
      http.emit('connection', socket);
    }),
    http2: duplexHandler((socket) => http2.emit('connection', socket)),
  };
}

/** An unchanged agent, but for where its connections come from. */
class PillionAgent extends Agent {
  readonly client: WebClient;
  opened = 0;

  constructor(client: WebClient, keepAlive: boolean) {
    super({ keepAlive });
    this.client = client;
  }

  override createConnection(): Duplex {
    this.opened++;
    return this.client.duplex('http');
  }
}

async function ask(options: RequestOptions, body?: Uint8Array): Promise<IncomingMessage> {
  const req = request({ host: 'sidecar', ...options });
  req.end(body);
  const [res] = (await inTime(`the answer to ${options.path}`, once(req, 'response'))) as [IncomingMessage];
  return res;
}

for (const keepAlive of [false, true]) {
  over(`node:http, ${keepAlive ? 'with' : 'without'} keep-alive`, async (t, transport) => {
    const sockets: Duplex[] = [];
    const { client, handlerErrors } = await pair(t, transport, web, handlers(httpServer(), sockets));
    const agent = new PillionAgent(client, keepAlive);
    t.teardown(() => agent.destroy());
    for (const size of [0, 10, 300_000]) {
      const res = await ask({ agent, method: 'POST', path: `/echo${size}` }, pattern(size));
      t.is(res.headers['x-digest'], digest(pattern(size)));
      t.is(await text(res), `POST /echo${size} ${size}`);
    }
    t.is(digest(await buffer(await ask({ agent, path: '/large' }))), digest(pattern(1_000_000)));
    const many = await Promise.all(Array.from({ length: 20 }, async (_, index) => text(await ask({ agent, path: `/${index}` }))));
    t.deepEqual(
      many,
      many.map((_, index) => `GET /${index} 0`),
    );
    if (keepAlive) t.true(agent.opened <= 21);
    else t.is(agent.opened, 24);
    agent.destroy();
    await until('all connections are closed', () => sockets.every(({ closed }) => closed) && client.stats().streamsOpen === 0);
    t.deepEqual(handlerErrors, []);
  });
}

over("an idle connection that the server's keep-alive timeout closes is not used again", async (t, transport) => {
  const http = httpServer();
  const sockets: Duplex[] = [];
  const { client } = await pair(t, transport, web, handlers(http, sockets));
  const agent = new PillionAgent(client, true);
  t.teardown(() => agent.destroy());
  t.is(await text(await ask({ agent, path: '/1' })), 'GET /1 0');
  await until('the connection is idle', () => Object.keys(agent.freeSockets).length === 1);
  // What the timeout does, without waiting for it.
  sockets[0]?.emit('timeout');
  await until('the agent has dropped it', () => Object.keys(agent.freeSockets).length === 0);
  t.is(await text(await ask({ agent, path: '/2' })), 'GET /2 0');
  t.is(agent.opened, 2);
});

over('a request that is aborted closes its connection at the sidecar', async (t, transport) => {
  const sockets: Duplex[] = [];
  const { client } = await pair(t, transport, web, handlers(httpServer(), sockets));
  const agent = new PillionAgent(client, true);
  const req = request({ host: 'sidecar', agent, path: '/hang' }).on('error', () => {});
  req.end();
  await until('the request is there', () => sockets.length === 1);
  req.destroy();
  await until('its connection is closed', () => sockets[0]?.closed === true);
  const slow = request({ host: 'sidecar', agent, path: '/hang' });
  slow.setTimeout(20, () => slow.destroy(new Error('too slow')));
  slow.end();
  const [error] = (await inTime('the timeout', once(slow, 'error'))) as [Error];
  t.is(error.message, 'too slow');
});

over('an answer that comes before the body was read is read', async (t, transport) => {
  const { client } = await pair(t, transport, web, handlers(httpServer()));
  const req = request({ host: 'sidecar', agent: new PillionAgent(client, false), method: 'POST', path: '/refuse' });
  req.on('error', () => {});
  req.write(pattern(2_000_000));
  const [res] = (await inTime('the answer', once(req, 'response'))) as [IncomingMessage];
  t.is(res.statusCode, 413);
  t.is(await text(res), 'too large');
  req.destroy();
  await until('nothing is left open', () => client.stats().streamsOpen === 0);
});

over('upgrades hand over a connection that both sides go on with', async (t, transport) => {
  const http = httpServer().on('upgrade', (_req, socket: Duplex) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.pipe(socket);
  });
  const { client } = await pair(t, transport, web, handlers(http));
  const req = request({ host: 'sidecar', agent: new PillionAgent(client, false), headers: { connection: 'Upgrade', upgrade: 'echo' } });
  req.end();
  const [, socket] = (await inTime('the upgrade', once(req, 'upgrade'))) as [IncomingMessage, Duplex];
  socket.end('over and out');
  t.is(await inTime('the echo', text(socket)), 'over and out');
});

over("undici's request and fetch, and the global fetch", async (t, transport) => {
  const { client, handlerErrors } = await pair(t, transport, web, handlers(httpServer()));
  let opened = 0;
  const dispatcher = new UndiciAgent({
    connections: 1,
    connect: (_options, callback) => {
      opened++;
      // Not at once: undici is not ready for it.
      queueMicrotask(() => callback(null, client.duplex('http') as never));
    },
  });
  const { body, headers } = await inTime(
    'the answer',
    undiciRequest('http://sidecar/a', { dispatcher, method: 'POST', body: pattern(200_000) }),
  );
  t.is(await body.text(), 'POST /a 200000');
  t.is(headers['x-digest'], digest(pattern(200_000)));
  const answer = await inTime('the answer', undiciFetch('http://sidecar/b', { dispatcher, method: 'PUT', body: 'text' }));
  t.is(await answer.text(), 'PUT /b 4');
  const global = await inTime('the answer', fetch('http://sidecar/c', { dispatcher } as unknown as RequestInit));
  t.is(await global.text(), 'GET /c 0');
  t.is(opened, 1);
  const large = await inTime('the answer', undiciFetch('http://sidecar/large', { dispatcher }));
  t.is(digest(new Uint8Array(await large.arrayBuffer())), digest(pattern(1_000_000)));
  await inTime('undici closes', dispatcher.close());
  await until('nothing is left open', () => client.stats().streamsOpen === 0);
  t.deepEqual(handlerErrors, []);
});

over('undici sees a client that is closed as a failed connection', async (t, transport) => {
  const { client } = await pair(t, transport, web, handlers(httpServer()));
  await client.close();
  const dispatcher = new UndiciAgent({
    connections: 1,
    connect: (_options, callback) => queueMicrotask(() => callback(null, client.duplex('http') as never)),
  });
  t.teardown(() => dispatcher.destroy());
  await t.throwsAsync(inTime('the failure', undiciRequest('http://sidecar/a', { dispatcher })));
});

over('http2, many streams at once', async (t, transport) => {
  const { client, handlerErrors } = await pair(t, transport, web, handlers(httpServer()));
  const session = connectHttp2('http://sidecar', { createConnection: () => client.duplex('http2') });
  const answers = await inTime(
    'the answers',
    Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        const stream = session.request({ ':method': 'POST', ':path': `/${index}` });
        stream.end(pattern(index * 20_000));
        return text(stream);
      }),
    ),
  );
  t.deepEqual(
    answers,
    answers.map((_, index) => `POST /${index} ${index * 20_000}`),
  );
  session.close();
  await inTime('the session closes', once(session, 'close'));
  await until('nothing is left open', () => client.stats().streamsOpen === 0);
  t.deepEqual(handlerErrors, []);
});
