/** Compiled, never run: the client's methods know the contract. */
import {
  type Claim,
  type Client,
  type ClientStats,
  type ClientStatus,
  type ConnectOptions,
  connect,
  type PillionErrorCode,
  RemoteError,
} from '../../src/index.js';
import { audit } from './contract.js';
import type { Equal, Expect } from './expect.js';

const client = connect(audit, { path: '/tmp/x.sock', transport: 'socket', ringBytes: { toServer: 4096 }, wait: 'park' });

export function events(): void {
  const accepted: boolean = client.send('log', { level: 'info', text: 'x' });
  client.send('tick');
  client.send('tick', undefined);
  client.send('maybe');
  client.send('maybe', 'x');
  client.send('blob', Buffer.from('x'));
  void accepted;
  // @ts-expect-error a payload is missing
  client.send('log');
  // @ts-expect-error the payload has another type
  client.send('log', { level: 'loud', text: 'x' });
  // @ts-expect-error a field is missing
  client.send('log', { level: 'info' });
  // @ts-expect-error no such event
  client.send('nowhere');
  // @ts-expect-error a method is no event
  client.send('verify', { token: 'x' });
  // @ts-expect-error nothing is sent with this event
  client.send('tick', 5);
  // @ts-expect-error events take no options
  client.send('log', { level: 'info', text: 'x' }, { timeout: 5 });
}

export function claims(): void {
  const claim = client.claim('frame', 5);
  type _Claim = Expect<Equal<typeof claim, Claim | null>>;
  if (claim === null) return;
  const { view, commit, abort } = claim;
  view.fill(1);
  const accepted: boolean = commit() || commit(3);
  abort();
  void accepted;
  // @ts-expect-error only events of codec raw can be claimed
  client.claim('log', 5);
  // @ts-expect-error a method is no event
  client.claim('verify', 5);
  // @ts-expect-error the size is missing
  client.claim('frame');
}

export async function calls(signal: AbortSignal): Promise<void> {
  const user = await client.call('verify', { token: 'x' });
  const count = await client.call('count');
  const nothing = await client.call('nothing');
  const forgotten = await client.call('forget', 'x');
  type _Results = [
    Expect<Equal<typeof user, { user: string }>>,
    Expect<Equal<typeof count, number>>,
    Expect<Equal<typeof nothing, void>>,
    Expect<Equal<typeof forgotten, void>>,
  ];
  await client.call('verify', { token: 'x' }, { timeout: 50, signal });
  await client.call('count', undefined, { timeout: 50 });
  // @ts-expect-error a request is missing
  await client.call('verify');
  // @ts-expect-error the request has another type
  await client.call('verify', { token: 5 });
  // @ts-expect-error an event is no method
  await client.call('log', { level: 'info', text: 'x' });
  // @ts-expect-error options come third
  await client.call('count', { timeout: 50 });
  // @ts-expect-error no such option
  await client.call('verify', { token: 'x' }, { retries: 5 });
  // @ts-expect-error the response has another type
  const wrong: string = await client.call('count');
  void wrong;
}

export function synchronousCalls(signal: AbortSignal): void {
  const user = client.callSync('verify', { token: 'x' }, { timeout: 50 });
  const count = client.callSync('count');
  type _Results = [Expect<Equal<typeof user, { user: string }>>, Expect<Equal<typeof count, number>>];
  // @ts-expect-error a blocked thread sees no signal
  client.callSync('verify', { token: 'x' }, { signal });
  // @ts-expect-error a request is missing
  client.callSync('verify');
  // @ts-expect-error an event is no method
  client.callSync('tick');
}

export async function rest(): Promise<void> {
  await client.ready();
  await client.ready({ timeout: 5, signal: AbortSignal.timeout(5) });
  await client.flush({ timeout: 5 });
  const status: ClientStatus = client.status();
  const stats: ClientStats = client.stats();
  type _State = Expect<Equal<typeof status.state, 'connecting' | 'connected' | 'closed'>>;
  type _Transport = Expect<Equal<typeof status.transport, 'shm' | 'socket' | undefined>>;
  void stats.eventsSent;
  client.on('disconnect', (reason: Error | null) => void reason);
  client.on('fallback', (reason: string) => void reason.length);
  // @ts-expect-error no such listener argument
  client.on('fallback', (reason: number) => void reason);
  const closed: Promise<void> = client.close();
  await closed;
  await using disposable: Client<typeof audit.definitions> = connect(audit);
  void disposable;
}

export const options: ConnectOptions[] = [
  {},
  { callTimeoutMs: Number.POSITIVE_INFINITY, allow: { uids: [0] }, authorize: (peer) => peer.uid === 0 },
  { arenaBytes: 65536, checkViews: false },
  // @ts-expect-error shared memory cannot be demanded
  { transport: 'shm' },
  // @ts-expect-error both rings are named
  { ringBytes: 4096 },
  // @ts-expect-error no such preset
  { wait: 'never' },
];

// @ts-expect-error a contract comes first
connect({ path: '/tmp/x.sock' });

export function failure(error: unknown): PillionErrorCode | string | undefined {
  if (!(error instanceof RemoteError)) return undefined;
  type _Code = Expect<Equal<typeof error.code, string>>;
  return error.remoteStack ?? error.remoteName;
}
