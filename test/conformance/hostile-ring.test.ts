import test from 'ava';
import { connect } from '../../src/index.js';
import { maxPayloadBytes, RECORD_HEADER_BYTES } from '../../src/ring/layout.js';
import type { RingMemory } from '../../src/ring/memory.js';
import { until } from '../helpers/deadline.js';
import { socketPath } from '../helpers/socket-path.js';
import { conformance } from './fixtures/contract.js';
import type { Heard } from './fixtures/handlers.js';
import { startSidecar } from './fixtures/suite.js';

/** What a sidecar may do to the records that it has not released, before it dies. Offsets in 32-bit words of the first record. */
const scribbles: [string, (words: Int32Array) => void][] = [
  ['a target outside of the name table', (words) => (words[1] = 1 | (77 << 16))],
  ['a target that is a method', (words) => (words[1] = 1 | (7 << 16))],
  ['an event that never ends', (words) => (words[1] = (words[1] as number) | (1 << 8))],
  ['a fragment that is the middle of nothing', (words) => (words[3] = 12_345)],
  ['a call that nobody made', (words) => (words[1] = 2 | (8 << 16))],
  ['an unknown kind', (words) => (words[1] = 0xff)],
  ['a length beyond everything', (words) => (words[0] = 0x7fffffff)],
  ['a length that leaves half a record', (words) => (words[0] = maxPayloadBytes(4096) - RECORD_HEADER_BYTES)],
  ['zeros', (words) => words.fill(0)],
];

for (const [what, scribble] of scribbles) {
  test.serial(`what a dead sidecar left in the ring does not harm its successor's connection: ${what}`, async (t) => {
    const path = socketPath();
    const first = await startSidecar(path);
    const client = connect(conformance, { path, ringBytes: { toServer: 4096, toClient: 4096 } });
    t.teardown(() => client.close());
    await client.ready({ timeout: 20_000 });
    // Its handler is not done when the sidecar dies, so it stays in the ring.
    client.send('lateNote', { number: 1, ms: 60_000 });
    client.send('note', { number: 2 });
    await until('the second is handled', async () => (await first.ask<Heard[]>('takeHeard')).length > 0);
    // The sidecar maps the very same memory.
    const { outbound } = (client as unknown as { session: { memory: { outbound: RingMemory } } }).session.memory;
    scribble(outbound.words.subarray(0, 4));
    await first.stop();
    await until('the client has noticed', () => client.status().state === 'connecting');
    const second = await startSidecar(path);
    t.teardown(() => second.stop());
    t.is(await client.call('echo', 'fine', { timeout: 20_000 }), 'fine');
    client.send('note', { number: 3 });
    const numbers: number[] = [];
    await until('the last event is handled', async () => {
      numbers.push(...(await second.ask<Heard[]>('takeHeard')).map(({ value }) => (value as { number: number }).number));
      return numbers.includes(3);
    });
    t.is(client.stats().connections, 2);
    t.deepEqual(await second.ask('takeDisconnects'), []);
  });
}
