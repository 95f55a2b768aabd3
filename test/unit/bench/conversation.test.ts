import test from 'ava';
import type { Row } from '../../../bench/result.js';
import { operationsIn } from '../../../bench/rig/conversation.js';
import type { Exchange } from '../../../bench/rig/exchange.js';
import { createExchanges } from '../../../bench/rig/exchange.js';
import { LatencyRecorder } from '../../../bench/rig/histogram.js';
import type { Lane, Pattern } from '../../../bench/rig/lane.js';
import { bulkLoop, eventLoop, fanOutLoop, tightLoop } from '../../../bench/rig/loops.js';
import type { Account } from '../../../bench/rig/payload.js';
import { Tally } from '../../../bench/rig/tally.js';
import { Uploads, uploadItemBytes } from '../../../bench/rig/uploads.js';
import { judge } from '../../../bench/suite/bars.js';
import { quick, scenario, scenarios } from '../../../bench/suite/scenarios.js';
import { plannedMs } from '../../../bench/suite/suite.js';
import type { Link } from '../../../bench/transports/transport.js';

/** What the rig makes of links that lose, double, damage or delay what a conversation consists of. */

const payloadBytes = 1_024;

function laneOf(pattern: Pattern, clients = 1): Lane {
  const { name: _, transports: __, ...conditions } = scenario('own', [], { pattern, payloadBytes, clients });
  return { ...conditions, transport: 'invented', directory: '' };
}

function tallyOf({ clients }: Lane, oneWay = true): Tally {
  return new Tally({ payloadBytes, itemBytes: payloadBytes, oneWay, clients, openLoop: false });
}

const close = async () => {};
const timing = { durationMs: 20, gapUs: 0, batch: 1, drain: async () => {} };

type Pass = (item: Uint8Array, take: (item: Uint8Array) => void) => void;

function streaming(lane: Lane, pass: Pass): Exchange {
  const tally = tallyOf(lane);
  const link: Link = {
    close,
    async stream(range, take) {
      for (const item of tally.items(range)) pass(item, take);
    },
  };
  return createExchanges(lane, [link], { sent: 0 })[0] as Exchange;
}

test('one stream after the other is read to its end, and counted by its items', async (t) => {
  const lane = laneOf('stream');
  let taken = 0;
  const exchange = streaming(lane, (item, take) => {
    taken++;
    take(item);
  });
  const recorder = new LatencyRecorder();
  const batch = operationsIn(lane) as number;
  t.is(await bulkLoop(exchange, { ...timing, batch }, recorder), taken);
  t.is(recorder.sampleCount, taken / batch);
});

const faults: [title: string, pass: () => Pass, message: RegExp][] = [
  ['loses its first item', () => except(0, () => {}), /^payload 1 arrived out of order or damaged$/],
  ['loses its last item', () => except(8_191, () => {}), /^a stream of 8192 items brought 8191$/],
  [
    'doubles an item',
    () =>
      except(5, (item, take) => {
        take(item);
        take(item);
      }),
    /^payload 7 arrived out of order or damaged$/,
  ],
  ['cuts an item', () => except(5, (item, take) => take(item.subarray(1))), /^payload has 1023 bytes instead of 1024$/],
  [
    'damages an item',
    () =>
      except(5, (item, take) => {
        const copy = Uint8Array.from(item);
        copy[1_023] = (copy[1_023] as number) ^ 1;
        take(copy);
      }),
    /^payload 6 arrived out of order or damaged$/,
  ],
];

function except(index: number, fault: Pass): Pass {
  let next = 0;
  return (item, take) => (next++ === index ? fault(item, take) : take(item));
}

for (const [title, pass, message] of faults) {
  test(`a stream that ${title} fails`, async (t) => {
    await t.throwsAsync(async () => streaming(laneOf('stream'), pass()).issue(0), { message });
  });
}

test('an upload counts what was taken, and the sidecar has to have as much', async (t) => {
  const lane = laneOf('upload');
  const tally = tallyOf(lane);
  const numbering = { sent: 0 };
  const link: Link = {
    close,
    async upload(items) {
      for (const item of items) tally.takeItem(item);
    },
  };
  const [exchange] = createExchanges(lane, [link], numbering);
  await exchange?.issue(0);
  await exchange?.issue(0);
  const { received, sequenceSum, fault } = tally.report();
  t.is(fault, undefined);
  t.is(received, numbering.sent);
  t.is(received, 2 * (operationsIn(lane) as number));
  t.is(sequenceSum, (received * (received + 1)) / 2);
});

test('a state that does not change, or changes late, fails', async (t) => {
  let value: Account | undefined;
  let isStuck = false;
  const link: Link = {
    close,
    async publish(account) {
      if (!isStuck) value = account;
    },
    read: () => value,
  };
  const [exchange] = createExchanges(laneOf('read'), [link], { sent: 0 });
  t.true((await tightLoop(exchange as Exchange, { ...timing, batch: 8 }, new LatencyRecorder())) > 0);
  isStuck = true;
  await t.throwsAsync(async () => exchange?.renew?.(), { message: 'account 2 arrived out of order or damaged' }, 'stuck');
  value = { ...(value as Account), id: 0 };
  t.throws(() => exchange?.check(exchange.issue(0)), { message: /was set, and another one read/ });
});

test('what was counted is what the sidecar has to find', async (t) => {
  const numbering = { sent: 0 };
  let counted = 0;
  const [exchange] = createExchanges(laneOf('count'), [{ close, count: () => void counted++ }], numbering);
  const count = await tightLoop(exchange as Exchange, { ...timing, batch: 8 }, new LatencyRecorder());
  t.is(count, counted);
  t.is(numbering.sent, counted);
  const tally = tallyOf(laneOf('count'));
  tally.counted(4);
  t.like(tally.report(), { received: 4, sequenceSum: 10 });
});

/** Three clients that hear what one sidecar tells; `deliver` is how it reaches them. */
function telling(deliver: (news: Uint8Array, listeners: ((news: Uint8Array) => void)[]) => number): Exchange {
  const lane = laneOf('fan-out', 3);
  const tally = tallyOf(lane, false);
  const listeners: ((news: Uint8Array) => void)[] = [];
  const link: Link = {
    close,
    hear: (listener) => void listeners.push(listener),
    tell: async (request) => tally.tell(Uint8Array.from(request), (news) => deliver(news, listeners)),
  };
  return createExchanges(lane, [link, link, link], { sent: 0 })[0] as Exchange;
}

const toAll = (news: Uint8Array, listeners: ((news: Uint8Array) => void)[]) => {
  for (const listener of listeners) listener(news);
  return listeners.length;
};

test('a broadcast is over when every client has it, and costs what the sidecar says', async (t) => {
  const recorder = new LatencyRecorder();
  const count = await fanOutLoop(telling(toAll), { ...timing, batch: 3 }, recorder);
  t.is(count % 3, 0);
  t.is(recorder.sampleCount, count);
});

test('a broadcast that a client hears twice, that is damaged, or that the sidecar drops fails', async (t) => {
  const twice = telling((news, listeners) => {
    listeners[0]?.(news);
    return toAll(news, listeners);
  });
  await t.throwsAsync(async () => twice.issue(0), { message: 'a client heard news 1 twice' });
  const damaged = telling((news, listeners) => toAll(news.subarray(4), listeners));
  await t.throwsAsync(async () => damaged.issue(0), { message: 'payload has 1020 bytes instead of 1024' });
  const dropped = telling((news, [, ...others]) => toAll(news, others));
  await t.throwsAsync(async () => dropped.issue(0), { message: 'news reached 2 of 3 clients' });
});

test('frames are filled only where there is room, and each of them once', async (t) => {
  const lane = laneOf('frame');
  const tally = tallyOf(lane);
  const numbering = { sent: 0 };
  let room = 0;
  let filled = 0;
  const link: Link = {
    close,
    frame(length, fill) {
      if (room-- <= 0) return false;
      const frame = new Uint8Array(length);
      fill(frame);
      filled++;
      tally.frame(frame);
      return true;
    },
  };
  const [exchange] = createExchanges(lane, [link], numbering);
  const drain = async () => {
    room = 3;
  };
  const count = await eventLoop(exchange as Exchange, { ...timing, drain }, new LatencyRecorder());
  t.true(count > 0);
  t.like(tally.report(), { received: count, fault: undefined });
  t.is(numbering.sent, count);
  t.is(filled, count);
});

test('uploads last as long as the work beside them, and fail with either', async (t) => {
  const numbering = { sent: 0 };
  let taken = 0;
  const upload = async (items: Iterable<Uint8Array>) => {
    for (const item of items) {
      if (item.length === uploadItemBytes) taken++;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const uploads = new Uploads(laneOf('beside-upload'), { close, upload }, numbering);
  const work = async () => {
    while (taken < 70) await new Promise((resolve) => setImmediate(resolve));
    return 'done';
  };
  t.is(await uploads.during(work), 'done');
  t.is(numbering.sent, taken);
  t.true(uploads.uploadMibPerSec > 0);
  const failing = () => new Uploads(laneOf('beside-upload'), { close, upload }, numbering);
  await t.throwsAsync(
    failing().during(async () => Promise.reject(new Error('no call'))),
    { message: 'no call' },
  );
  const refused = new Uploads(laneOf('beside-upload'), { close, upload: async () => Promise.reject(new Error('no upload')) }, numbering);
  await t.throwsAsync(
    refused.during(async () => {}),
    { message: 'no upload' },
  );
});

test('what a link does not offer is skipped', (t) => {
  for (const pattern of ['stream', 'upload', 'read', 'count', 'frame', 'fan-out'] as const) {
    t.throws(() => createExchanges(laneOf(pattern), [{ close }], { sent: 0 }), { message: `invented offers no ${pattern}` });
  }
});

function row(name: string, transport: string, found: Partial<Row>): Row {
  const { name: _, transports: __, ...conditions } = scenario(name, [], { placement: 'held' });
  const figures = { status: 'ok', rounds: 1, p50Us: null, p99Us: null, opsPerSec: null, p50UsRounds: [], opsPerSecRounds: [], extras: {} };
  return { ...conditions, ...figures, scenario: name, transport, ...found } as Row;
}

function verdictOn(what: string, rows: readonly Row[]): unknown {
  return judge(rows).find((verdict) => verdict.what === what);
}

test('bars tell rows of one scenario apart by their conditions', (t) => {
  const streams = [64, 1_024].map((bytes) => row('stream', 'shm', { payloadBytes: bytes, opsPerSec: bytes === 64 ? 3e6 : 2e6 }));
  t.like(verdictOn('stream of 64-byte items', streams), { value: 3e6, verdict: 'reached' });
  t.like(verdictOn('stream of 1 KiB items', streams), { value: 2.048, verdict: 'reached' });
  t.is(verdictOn('bandwidth of 16 MiB calls / uds', [row('payload-sweep', 'shm', { payloadBytes: 16 })]), undefined);
  const crowd = [0, 1_000].map((idleClients) =>
    row('crowd', 'shm', {
      idleClients,
      p50Us: idleClients === 0 ? 2 : 3,
      extras: { idleMs: 1_000, idleSidecarCpuMs: idleClients === 0 ? 0.1 : 0.3 },
    }),
  );
  t.like(verdictOn('call beside 1,000 idle connections / alone', crowd), { value: 1.5, verdict: 'reached' });
  const cpu = verdictOn('CPU of the sidecar in 10 s for 1,000 idle connections', crowd) as { value: number };
  t.is(Math.round(cpu.value), 2);
});

test('a call beside an upload is held against its own quiet half', (t) => {
  const beside = row('beside-upload', 'shm', { p99Us: 900, extras: { quietP99Us: 100 } });
  t.like(verdictOn('p99 of a call beside an upload / alone', [beside]), { value: 9, verdict: 'missed' });
});

test('by plan, a quick run stays within two minutes', (t) => {
  const chosen = scenarios.map((each) => ({ ...each, transports: each.transports.filter((name) => quick.includes(each, name)) }));
  const overheadMs = 3 * quick.overhead.rounds * quick.overhead.durationMs;
  t.true(plannedMs({ scenarios: chosen, effort: quick }) <= quick.budgetMs);
  t.true(quick.budgetMs + overheadMs < 2 * 60_000);
});
