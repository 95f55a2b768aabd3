import test from 'ava';
import { type ConnectOptions, connect, contract, method, type ServeOptions, serve } from '../../src/index.js';
import { integerOption, ringBytesOption, timeoutOption } from '../../src/options.js';
import { socketPath } from '../helpers/socket-path.js';

const small = contract('small', { ask: method<number, number>() });

test('an integer option has a default, bounds, and a message that names it', (t) => {
  t.is(integerOption('x', undefined, 5, 1, 10), 5);
  t.is(integerOption('x', 1, 5, 1, 10), 1);
  t.is(integerOption('x', 10, 5, 1, 10), 10);
  for (const value of [0, 11, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5', null, 5n]) {
    t.throws(() => integerOption('x', value, 5, 1, 10), { code: 'ERR_PILLION_INVALID_ARGUMENT', message: /^x=/ });
  }
});

test('a timeout is a number above 0, Infinity for none', (t) => {
  t.is(timeoutOption('t', undefined, 9), 9);
  t.is(timeoutOption('t', 0.5, 9), 0.5);
  t.is(timeoutOption('t', Number.POSITIVE_INFINITY, 9), Number.POSITIVE_INFINITY);
  for (const value of [0, -1, Number.NaN, '9', null, Number.NEGATIVE_INFINITY]) {
    t.throws(() => timeoutOption('t', value, 9), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  }
});

test('a ring has a power of two of bytes', (t) => {
  t.is(ringBytesOption('r', undefined), 256 * 1024);
  t.is(ringBytesOption('r', 4096), 4096);
  for (const value of [0, 4095, 4097, 6000, 2048, 2 ** 31, -4096, '4096', null, Number.NaN]) {
    t.throws(() => ringBytesOption('r', value), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  }
});

const badClientOptions: Record<string, unknown>[] = [
  { transport: 'shm' },
  { transport: 5 },
  { ringBytes: { toServer: 5000 } },
  { ringBytes: { toClient: 0 } },
  { maxMessageBytes: 0 },
  { maxMessageBytes: 2 ** 31 },
  { callTimeoutMs: 0 },
  { handshakeTimeoutMs: 0 },
  { handshakeTimeoutMs: 1.5 },
  { wait: 'sometimes' },
  { wait: 'toString' },
];

for (const options of badClientOptions) {
  test(`connect refuses ${JSON.stringify(options)}`, (t) => {
    t.throws(() => connect(small, { path: socketPath(), ...(options as ConnectOptions) }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
  });
}

const badServerOptions: Record<string, unknown>[] = [
  { transport: 'tcp' },
  { mode: 0o1777 },
  { mode: '600' },
  { maxRingBytes: 1 },
  { maxMessageBytes: -1 },
  { maxConnections: 0 },
  { maxConnectionsPerUid: 0.5 },
  { maxQueuedBytes: -1 },
  { handshakeTimeoutMs: 0 },
  { lingerMs: -1 },
  { lingerMs: 1001 },
  { wait: 5 },
];

for (const options of badServerOptions) {
  test(`serve refuses ${JSON.stringify(options)}`, async (t) => {
    await t.throwsAsync(serve(small, { ask: (n) => n }, { path: socketPath(), ...(options as ServeOptions) }), {
      code: 'ERR_PILLION_INVALID_ARGUMENT',
    });
  });
}

test('paths that can never be a socket are refused', async (t) => {
  for (const path of ['', `/tmp/${'x'.repeat(120)}`, 'a\0b', 5]) {
    const error = t.throws(() => connect(small, { path: path as string }));
    t.regex((error as unknown as { code: string }).code, /^ERR_PILLION_(INVALID_ARGUMENT|SOCKET_PATH)$/, JSON.stringify(path));
    await t.throwsAsync(serve(small, { ask: (n) => n }, { path: path as string }));
  }
});

test('a contract that was not made by contract() is refused', async (t) => {
  for (const bad of [null, undefined, {}, { name: 'x' }, 'small']) {
    t.throws(() => connect(bad as unknown as typeof small, { path: socketPath() }), { code: 'ERR_PILLION_INVALID_ARGUMENT' });
    await t.throwsAsync(serve(bad as unknown as typeof small, { ask: (n) => n }, { path: socketPath() }), {
      code: 'ERR_PILLION_INVALID_ARGUMENT',
    });
  }
});

test('handlers must be there for every name and no other', async (t) => {
  const path = socketPath();
  for (const handlers of [{}, null, { ask: 5 }, { ask: (n: number) => n, more: () => 1 }, { ask: (n: number) => n, toString: () => '' }]) {
    await t.throwsAsync(serve(small, handlers as unknown as { ask(n: number): number }, { path }), {
      code: 'ERR_PILLION_INVALID_ARGUMENT',
    });
  }
});
