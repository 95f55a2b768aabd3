import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { connect, contract, event, method, serve } from '../../src/index.js';
import type { OverheadVariant } from '../result.js';
import type { Duties, LogEntry, Sample } from './duties.js';

/** The duties as the app's request handler sees them. */
export interface Access {
  verify(token: string): Promise<string> | string;
  log(entry: LogEntry): void;
  measure(sample: Sample): void;
  /** Resolves when everything handed over has arrived. */
  flush(): Promise<void>;
  /** Rings of the doorbell so far, one byte each; HTTP's bytes are counted by its server. */
  sentBytes(): number;
  close(): Promise<void>;
}

/** The duties behind a door of their own. */
export interface Served {
  address: string;
  /** That crossed sockets in both directions, as far as this side knows. */
  bytes(): number;
  close(): Promise<void>;
}

export type SidecarVariant = Exclude<OverheadVariant, 'embedded'>;

export function serveDuties(variant: SidecarVariant, duties: Duties, directory: string): Promise<Served> {
  return variant === 'http' ? serveHttp(duties) : servePillion(duties, directory);
}

export async function openDuties(variant: SidecarVariant, address: string): Promise<Access> {
  return variant === 'http' ? openHttp(Number(address)) : openPillion(address);
}

const sidecar = contract('bench-sidecar', {
  verify: method<string, string>(),
  log: event<LogEntry>(),
  measure: event<Sample>(),
});

async function servePillion(duties: Duties, directory: string): Promise<Served> {
  const address = join(directory, 'sidecar.sock');
  const handlers = {
    verify: (token: string) => duties.verify(token),
    log: (entry: LogEntry) => duties.log(entry),
    measure: (sample: Sample) => duties.measure(sample),
  };
  const server = await serve(sidecar, handlers, { path: address });
  return { address, bytes: () => server.stats().doorbells, close: () => server.close() };
}

async function openPillion(path: string): Promise<Access> {
  const client = connect(sidecar, { path });
  await client.ready();
  return {
    verify: (token) => client.call('verify', token),
    log: (entry) => void client.send('log', entry),
    measure: (sample) => void client.send('measure', sample),
    flush: () => client.flush(),
    sentBytes: () => client.stats().doorbells,
    close: () => client.close(),
  };
}

async function serveHttp(duties: Duties): Promise<Served> {
  const routes: Record<string, (body: string) => string> = {
    '/verify': (token) => duties.verify(token),
    '/log'(body) {
      duties.log(JSON.parse(body) as LogEntry);
      return '';
    },
    '/measure'(body) {
      duties.measure(JSON.parse(body) as Sample);
      return '';
    },
  };
  const server = createServer(async (incoming, response) => {
    const reply = routes[incoming.url as string]?.(await readAll(incoming)) ?? '';
    response.writeHead(200, { 'content-length': reply.length }).end(reply);
  });
  const count = countBytes(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: String((server.address() as AddressInfo).port),
    bytes: count,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function countBytes(server: Server): () => number {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  return () => [...sockets].reduce((sum, { bytesRead, bytesWritten }) => sum + bytesRead + bytesWritten, 0);
}

/** As most people would write it: one POST each over kept-alive connections, awaited only where there is something to wait for. */
function openHttp(port: number): Access {
  const agent = new Agent({ keepAlive: true });
  const underWay = new Set<Promise<string>>();
  const post = (path: string, body: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const headers = { 'content-length': Buffer.byteLength(body) };
      const outgoing = request({ host: '127.0.0.1', port, agent, method: 'POST', path, headers }, (response) => {
        readAll(response).then(resolve, reject);
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  const start = (path: string, body: object) => {
    const sent = post(path, JSON.stringify(body));
    underWay.add(sent);
    sent.then(
      () => underWay.delete(sent),
      () => {},
    );
  };
  return {
    verify: (token) => post('/verify', token),
    log: (entry) => start('/log', entry),
    measure: (sample) => start('/measure', sample),
    flush: async () => void (await Promise.all(underWay)),
    sentBytes: () => 0,
    async close() {
      agent.destroy();
    },
  };
}

async function readAll(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
