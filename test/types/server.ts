/** Compiled, never run: handlers are typed by the contract. */
import { type EventContext, type Handlers, type ServeOptions, type Server, serve } from '../../src/index.js';
import { audit } from './contract.js';
import type { Equal, Expect } from './expect.js';

type AuditHandlers = Handlers<typeof audit.definitions>;

export const handlers: AuditHandlers = {
  log: (line, context) => {
    type _Types = [Expect<Equal<typeof line.level, 'info' | 'error'>>, Expect<Equal<typeof context, EventContext>>];
    const release: () => void = context.retain();
    release();
  },
  tick: () => {},
  blob: async (bytes) => void bytes.byteLength,
  frame: (bytes) => void bytes.byteLength,
  maybe: (text) => void text?.length,
  verify: ({ token }) => ({ user: token }),
  count: async (_request, { signal, peer, clientId, redelivered, sequence, timeoutMs }) => {
    type _Context = [
      Expect<Equal<typeof signal, AbortSignal>>,
      Expect<Equal<typeof peer.uid, number | undefined>>,
      Expect<Equal<typeof clientId, string>>,
      Expect<Equal<typeof redelivered, boolean>>,
    ];
    return sequence + timeoutMs;
  },
  // @ts-expect-error a call is answered, not retained
  forget: (_text, context) => void context.retain(),
  nothing: () => {},
};

export async function start(): Promise<void> {
  const server: Server<typeof audit.definitions> = await serve(audit, handlers, { path: '/tmp/x.sock', mode: 0o600 });
  server.on('connect', ({ clientId, transport }) => {
    type _Types = [Expect<Equal<typeof clientId, string>>, Expect<Equal<typeof transport, 'shm' | 'socket'>>];
  });
  server.on('handlerError', (error, name) => {
    type _Types = [Expect<Equal<typeof error, unknown>>, Expect<Equal<typeof name, string>>];
  });
  server.unref().ref();
  await server.close({ timeout: 100 });
  await using other = await serve(audit, handlers);
  void other.path;
}

const { log, tick, blob, frame, maybe, verify, count, forget, nothing } = handlers;

// @ts-expect-error a handler is missing
void serve(audit, { log, tick, blob, frame, maybe, verify, count, forget });
// @ts-expect-error a handler too many
void serve(audit, { ...handlers, more: () => 1 });
// @ts-expect-error another response
export const wrongResponse: AuditHandlers = { log, tick, blob, frame, maybe, verify: () => ({ name: 'x' }), count, forget, nothing };
// @ts-expect-error another response, later
export const wrongPromise: AuditHandlers = { log, tick, blob, frame, maybe, verify, count: async () => 'x', forget, nothing };
// @ts-expect-error another request
export const wrongRequest: AuditHandlers = { ...handlers, verify: (token: string) => ({ user: token }) };

export const options: ServeOptions[] = [
  {},
  { takeover: true, allowSharedDirectory: true, exposeStacks: true, lingerMs: 0, authorize: () => true },
  // @ts-expect-error no such transport
  { transport: 'tcp' },
  // @ts-expect-error a mode is a number
  { mode: '0600' },
];
