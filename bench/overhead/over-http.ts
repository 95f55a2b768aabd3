import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Access, Served } from './access.js';
import type { Duties, LogEntry, Sample } from './duties.js';

const json = { 'content-type': 'application/json' };

export async function serve(duties: Duties): Promise<Served> {
  const routes: Record<string, (body: unknown) => unknown> = {
    '/verify': (token) => duties.verify(token as string),
    '/log': (entry) => duties.log(entry as LogEntry),
    '/measure': (sample) => duties.measure(sample as Sample),
  };
  const server = createServer(async (incoming, response) => {
    try {
      answer(response, routes[incoming.url as string]?.(JSON.parse(await readAll(incoming))));
    } catch (error) {
      response.writeHead(500).end((error as Error).message);
    }
  });
  // The app waits for its turn longer than the usual 5 s, and connecting anew is no part of the workload.
  server.keepAliveTimeout = 0;
  const socketBytes = countBytes(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { address: String((server.address() as AddressInfo).port), socketBytes };
}

function answer(response: ServerResponse, value: unknown): void {
  if (value === undefined) {
    response.writeHead(204).end();
    return;
  }
  const body = JSON.stringify(value);
  response.writeHead(200, { ...json, 'content-length': Buffer.byteLength(body) }).end(body);
}

/** What HTTP puts into its connections in both directions; TCP's and IP's own headers come on top. */
function countBytes(server: Server): () => number {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  return () => [...sockets].reduce((sum, { bytesRead, bytesWritten }) => sum + bytesRead + bytesWritten, 0);
}

/**
 * As most people would write it: a POST with JSON for each thing, over connections that are kept alive, and awaited only where
 * there is an answer to use. Log lines and metrics are not gathered: neither are they over pillion, and what has not
 * left yet is lost when the app crashes.
 */
export async function open(port: string): Promise<Access> {
  const agent = new Agent({ keepAlive: true });
  const underWay = new Set<Promise<unknown>>();
  let failure: unknown;
  const send = (path: string, value: object) => {
    const sent = post(agent, port, path, value)
      .catch((error) => {
        failure ??= error;
      })
      .finally(() => underWay.delete(sent));
    underWay.add(sent);
  };
  return {
    verify: async (token) => JSON.parse(await post(agent, port, '/verify', token)) as string,
    log: (entry) => send('/log', entry),
    measure: (sample) => send('/measure', sample),
    async flush() {
      await Promise.all(underWay);
      if (failure !== undefined) throw failure;
    },
    sentBytes: () => 0,
  };
}

function post(agent: Agent, port: string, path: string, value: unknown): Promise<string> {
  const body = JSON.stringify(value);
  const headers = { ...json, 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, agent, method: 'POST', path, headers }, (response) => {
      readAll(response)
        .then((reply) => {
          if ((response.statusCode ?? 0) >= 300) throw new Error(`${path} answered statusCode=${response.statusCode}: ${reply}`);
          return reply;
        })
        .then(resolve, reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

async function readAll(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
