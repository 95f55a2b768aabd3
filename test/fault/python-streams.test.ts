import test from 'ava';
import { checkNoChildren, checkResources, place, resourcesOf, startApp, startSidecar, until } from '../fixtures/node/program.js';
import { pythonApp, pythonSidecar, startPythonApp } from '../fixtures/node/python.js';

/** Streams, states and broadcasts between pillion and a peer that shares no line of code with it, on either side. */

test.afterEach.always('no child is left', checkNoChildren);

const pairs = ['shm', 'socket'] as const;
const own = (transport: (typeof pairs)[number]) => (transport === 'shm' ? 'auto' : 'socket');
const LARGE = 300_000;

for (const transport of pairs) {
  test.serial(`over ${transport}: a Python app reads streams of a Node sidecar, however slowly`, async (t) => {
    const { path } = place(t);
    const sidecar = await startSidecar(t, { path });
    const before = resourcesOf(sidecar.pid);
    await pythonApp(
      t,
      path,
      [
        { open: 'numbers', value: { count: 3000, bytes: 20 }, window: 4096, as: 'a' },
        { read: 'a', expectEnd: 3000 },
        { open: 'numbers', value: { count: 5, bytes: LARGE }, window: 1, as: 'large' },
        { read: 'large', expectEnd: 5 },
        { open: 'numbers', value: { count: 0 }, as: 'none' },
        { read: 'none', expectEnd: 0 },
        // In order: the items that came before, then the error.
        { open: 'numbers', value: { count: 9, failAt: 4 }, as: 'failing' },
        { read: 'failing', count: 4 },
        { read: 'failing', expectError: 'E_ASKED' },
        { open: 'numbers', value: { count: 1e9 }, window: 2048, as: 'x' },
        { open: 'numbers', value: { count: 300 }, window: 2048, as: 'y' },
        { read: 'x', count: 10 },
        { read: 'y', expectEnd: 300 },
        { read: 'x', count: 10 },
        { stop: 'x' },
        { call: 'echo', value: 1, expect: 1 },
        { close: true },
      ],
      ['--transport', transport],
    );
    const made = sidecar.lines.filter((line) => 'numbers' in line).map((line) => line['numbers'] as number);
    t.deepEqual(made.slice(0, 5), [3000, 5, 0, 4, 300]);
    // The window, what was read of it, and one item that was made before there was credit for it.
    t.true((made[5] as number) > 20 && (made[5] as number) < 200, `${made[5]} items were made for a reader of 20`);
    await checkResources(t, sidecar.pid, before);
  });

  test.serial(`over ${transport}: a Python app sends to the uploads and duplex streams of a Node sidecar`, async (t) => {
    const { path } = place(t);
    const sidecar = await startSidecar(t, { path });
    const before = resourcesOf(sidecar.pid);
    await pythonApp(
      t,
      path,
      [
        { open: 'total', as: 'u' },
        { write: 'u', value: { $i: true }, count: 5000 },
        { write: 'u', value: { $text: LARGE }, count: 3 },
        { endInput: 'u' },
        { result: 'u', expect: { count: 5003, sum: 4999 * 2500 + 3 * LARGE } },
        { open: 'total', as: 'empty' },
        { endInput: 'empty' },
        { result: 'empty', expect: { count: 0, sum: 0 } },
        { open: 'total', as: 'stopped' },
        { write: 'stopped', value: 'stop' },
        { write: 'stopped', value: 1, count: 1_000_000, mayStop: true },
        { result: 'stopped', expect: { count: 0, sum: 0 } },
        { open: 'total', as: 'failed' },
        { write: 'failed', value: 'fail' },
        { result: 'failed', expectError: 'E_ASKED' },
        { open: 'total', as: 'broken' },
        { write: 'broken', value: 1, count: 7 },
        { failInput: 'broken', code: 'E_SOURCE' },
        { open: 'mirror', window: 3000, as: 'm' },
        { write: 'm', value: { $i: true }, count: 20 },
        { read: 'm', count: 20 },
        { write: 'm', value: { $text: LARGE } },
        { read: 'm', count: 1, expect: [{ $text: LARGE }] },
        { endInput: 'm' },
        { read: 'm', expectEnd: 0 },
        { open: 'mirror', as: 'half' },
        { write: 'half', value: 'stop' },
        { read: 'half', expectEnd: 0 },
        { open: 'mirror', as: 'cancelled' },
        { write: 'cancelled', value: 1 },
        { read: 'cancelled', count: 1 },
        { stop: 'cancelled' },
        { open: 'mirror', as: 'failing' },
        { write: 'failing', value: { $i: true }, count: 3 },
        { write: 'failing', value: 'fail' },
        { read: 'failing', count: 3, expect: [0, 1, 2] },
        { read: 'failing', expectError: 'E_ASKED' },
        { call: 'echo', value: 1, expect: 1 },
        { close: true },
      ],
      ['--transport', transport],
    );
    const totals = sidecar.lines.filter((line) => 'total' in line);
    t.deepEqual(
      totals.map((line) => line['total']),
      [5003, 0, 0, 0, 7],
    );
    t.is((totals[4]?.['aborted'] as { code?: string } | undefined)?.code, 'E_SOURCE');
    t.deepEqual(
      sidecar.lines.filter((line) => 'mirror' in line).map((line) => line['mirror']),
      [21, 0, 1, 3],
    );
    await checkResources(t, sidecar.pid, before);
  });

  test.serial(`over ${transport}: a Node app reads streams of a Python sidecar, however slowly`, async (t) => {
    const { path } = place(t);
    const sidecar = await pythonSidecar(t, path);
    const app = await startApp(t, { path, transport: own(transport) });
    await app.ask('ready');
    const read = (request: object, more: object = {}) => app.ask('numbers', { request, ...more });
    t.deepEqual(await read({ count: 3000, bytes: 20 }, { windowBytes: 4096 }), { read: 3000 });
    t.deepEqual(await read({ count: 5, bytes: LARGE }, { windowBytes: 1 }), { read: 5 });
    t.deepEqual(await read({ count: 0 }), { read: 0 });
    const failed = (await read({ count: 9, failAt: 4 })) as { read: number; error: { code: string } };
    t.deepEqual([failed.read, failed.error.code], [4, 'E_ASKED']);
    const both = await Promise.all([
      read({ count: 1e9 }, { windowBytes: 2048, take: 20, pauseMs: 1 }),
      read({ count: 300 }, { windowBytes: 2048 }),
    ]);
    t.deepEqual(both, [{ read: 20 }, { read: 300 }]);
    t.is(await app.ask('call', { name: 'echo', value: 1 }), 1);
    const lines = (): { sent: number; lowest: number }[] => sidecar.lines.filter((line) => 'numbers' in line) as never;
    await until('all are over', () => lines().length === 6);
    const stopped = lines().find((_, index) => sidecar.lines.filter((line) => 'numbers' in line)[index]?.['error'] === 'cancelled');
    t.true((stopped?.sent as number) < 200, `${stopped?.sent} items were sent to a reader of 20`);
    // No item began without credit, so an item is the most that is owed; without the large ones, 64 bytes.
    t.deepEqual(lines().filter(({ lowest }) => lowest < -64).length, 1);
    t.is((await app.ask<{ streamsOpen: number }>('stats')).streamsOpen, 0);
  });

  test.serial(`over ${transport}: a Node app sends to the uploads and duplex streams of a Python sidecar`, async (t) => {
    const { path } = place(t);
    const sidecar = await pythonSidecar(t, path);
    const app = await startApp(t, { path, transport: own(transport) });
    await app.ask('ready');
    const total = (count: number, last: unknown[] = []) => app.ask<{ value?: unknown; error?: { code: string } }>('total', { count, last });
    t.deepEqual(await total(5000, ['x'.repeat(LARGE)]), { value: { count: 5001, sum: 4999 * 2500 + LARGE } });
    t.deepEqual(await total(0), { value: { count: 0, sum: 0 } });
    t.deepEqual(await total(3, ['stop', ...new Array(20_000).fill('more')]), { value: { count: 3, sum: 3 } });
    t.is((await total(3, ['fail'])).error?.code, 'E_ASKED');
    t.is((await total(3, ['$throw'])).error?.code, 'E_SOURCE');
    await sidecar.next((line) => 'total' in line && String(line['error']).startsWith('E_SOURCE'));
    t.deepEqual(await app.ask('mirror', { count: 2000, windowBytes: 1000 }), { read: 2000 });
    t.deepEqual(await app.ask('mirror', { count: 0 }), { read: 0 });
    t.deepEqual(await app.ask('mirror', { count: 5, last: ['stop', ...new Array(20_000).fill('more')] }), { read: 5 });
    const failed = await app.ask<{ read: number; error: { code: string } }>('mirror', { count: 5, last: ['fail'] });
    t.deepEqual([failed.read, failed.error.code], [5, 'E_ASKED']);
    t.is(await app.ask('call', { name: 'echo', value: 1 }), 1);
    t.is((await app.ask<{ streamsOpen: number }>('stats')).streamsOpen, 0);
  });

  test.serial(`over ${transport}: a Python app hears a Node sidecar's states, the latest when it comes late, and broadcasts`, async (t) => {
    const { path } = place(t);
    await startSidecar(t, { path });
    const app = await startApp(t, { path, transport: own(transport) });
    await app.ask('ready');
    await app.ask('call', { name: 'tell', value: { mode: { $i: 0 }, count: 1000 } });
    await pythonApp(
      t,
      path,
      [
        { state: 'mode', expect: 999 },
        { call: 'tell', value: { mode: { level: 1 }, alarm: 'one' }, quiet: true },
        { state: 'mode', expect: { level: 1 } },
        { heard: 'alarm', expect: ['one'] },
        { call: 'tell', value: { alarm: { $text: 50_000 } }, quiet: true },
        { heard: 'alarm', expect: [{ $text: 50_000 }] },
        { call: 'tell', value: { mode: { $text: LARGE } }, quiet: true },
        { state: 'mode', expect: { $text: LARGE } },
        { close: true },
      ],
      ['--transport', transport],
    );
    t.deepEqual(await app.ask('alarms'), ['one', 'abcdefghijklmnopqrstuvwxyz'.repeat(2000).slice(0, 50_000)]);
  });

  test.serial(`over ${transport}: a Python app that does not read misses broadcasts, and gets the latest value of a state`, async (t) => {
    const { path } = place(t);
    const sidecar = await startSidecar(t, { path });
    const app = await startApp(t, { path, transport: own(transport) });
    await app.ask('ready');
    const late = startPythonApp(
      t,
      path,
      [{ state: 'mode', expect: 49_999, within: 20_000 }, { heard: 'alarm', atLeast: 10, within: 20_000 }, { close: true }],
      ['--transport', transport, '--ring-bytes', '4096,4096'],
    );
    await late.next('connected');
    late.signal('SIGSTOP');
    await app.ask('call', { name: 'tell', value: { mode: { $i: 0 }, alarm: { $i: 0 }, count: 50_000 }, timeout: 20_000 });
    t.true((await sidecar.ask<{ broadcastsDropped: number }>('stats')).broadcastsDropped > 10_000);
    late.signal('SIGCONT');
    t.is((await late.end(60_000)).code, 0, `${JSON.stringify(late.lines)} ${late.stderr}`);
  });

  test.serial(`over ${transport}: a Node app hears a Python sidecar's states, the latest when it comes late, and broadcasts`, async (t) => {
    const { path } = place(t);
    const sidecar = await pythonSidecar(t, path);
    const app = await startApp(t, { path, transport: own(transport) });
    await app.ask('ready');
    const tell = (value: object) => app.ask('call', { name: 'tell', value });
    await tell({ mode: { level: 1 }, alarm: 'one' });
    const mode = () => app.ask<{ value: unknown; isStale: boolean }>('mode');
    await until('it has arrived', async () => !(await mode()).isStale);
    t.deepEqual((await mode()).value, { level: 1 });
    await tell({ mode: 'x'.repeat(LARGE) });
    await until('it has arrived', async () => (await mode()).value === 'x'.repeat(LARGE));
    await tell({ alarm: 'y'.repeat(50_000) });
    await until('both have arrived', async () => (await app.ask<unknown[]>('alarms')).length === 2);
    t.deepEqual(await app.ask('alarms'), ['one', 'y'.repeat(50_000)]);
    await tell({ mode: { $i: 0 }, count: 5000 });
    await until('the latest has arrived', async () => (await mode()).value === 4999);
    const late = await startApp(t, { path, transport: own(transport) });
    await late.ask('ready');
    await until('it has arrived', async () => !(await late.ask<{ isStale: boolean }>('mode')).isStale);
    t.is((await late.ask<{ value: unknown }>('mode')).value, 4999);
    t.deepEqual(await late.ask('alarms'), []);
    await sidecar.kill();
    await until('the value is known to be old', async () => (await mode()).isStale);
    t.is((await mode()).value, 4999);
  });

  test.serial(
    `over ${transport}: streams of a Python sidecar that leaves are told, and those that it had not taken go to a Node one`,
    async (t) => {
      const { path } = place(t);
      const first = await pythonSidecar(t, path);
      const app = await startApp(t, { path, transport: own(transport) });
      await app.ask('ready');
      const slow = app.ask('call', { name: 'slow', value: 1500 });
      const endless = app.ask<{ read: number; error: { code: string } }>('numbers', {
        request: { count: 1e9 },
        windowBytes: 1024,
        pauseMs: 1,
      });
      await until('it flows', async () => (await app.ask<{ streamsOpen: number }>('stats')).streamsOpen === 1);
      first.signal('SIGTERM');
      const { read, error } = await endless;
      t.is(error.code, 'ERR_PILLION_CLOSED', `after ${read}`);
      const untaken = [app.ask('numbers', { request: { count: 3 } }), app.ask('total', { count: 0 }), app.ask('mirror', { count: 0 })];
      t.is(await slow, 1500);
      t.is((await first.end()).code, 0, first.stderr);
      await startSidecar(t, { path });
      t.deepEqual(await Promise.all(untaken), [{ read: 3 }, { value: { count: 0, sum: 0 } }, { read: 0 }]);
    },
  );
}
