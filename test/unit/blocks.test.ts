import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { allocateBlock } from '../../src/channel/blocks.js';
import { native } from '../../src/native.js';
import { until } from '../helpers/deadline.js';

const MIB = 1024 * 1024;
const detailOf = (entry: unknown) => (entry as { detail: { kind: number; flags: number } }).detail;
/** A process that has not asked for `gc` itself, and calls something else so. */
const program = `
  const { allocateBlock } = await import(${JSON.stringify(new URL('../../src/channel/blocks.js', import.meta.url).href)});
  globalThis.gc = 'mine';
  for (let i = 0; i < 100; i++) allocateBlock(2 ** 20);
  process.stdout.write(gc + ' ' + (await import('node:vm')).runInNewContext('typeof gc'));
`;
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Lets finalizers run. */
async function collect(): Promise<void> {
  gc();
  await turn();
  await turn();
}

function residentBytes(): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
}

test.serial('blocks in use do not share memory', (t) => {
  const blocks = Array.from({ length: 20 }, (_, index) => allocateBlock(MIB + index).fill(index));
  for (const [index, block] of blocks.entries()) {
    t.is(block.length, MIB + index);
    t.is(block.indexOf(index === 0 ? 1 : 0), -1);
  }
});

test.serial('however many blocks are used one after the other, memory stays bounded', async (t) => {
  await collect();
  const before = residentBytes();
  for (let round = 0; round < 600; round++) {
    allocateBlock(MIB).fill(round);
    if (round % 20 === 0) await collect();
  }
  await collect();
  const grown = residentBytes() - before;
  t.true(grown < 200 * MIB, `${grown} bytes more are resident`);
});

test.serial('what is not in use goes back to the system some time after the last large message', async (t) => {
  for (let round = 0; round < 40; round++) allocateBlock(MIB).fill(1);
  await collect();
  const before = residentBytes();
  native().addon?.trimBlocks();
  await until('the blocks are gone', async () => {
    await collect();
    return residentBytes() < before - 20 * MIB;
  });
  t.pass('what comes back after a trim is not kept either, until the next block is asked for');
});

test.serial('a block is copied or refused when it is transferred, as other memory from outside is', (t) => {
  const block = allocateBlock(MIB).fill(7);
  const { buffer } = block;
  try {
    const moved = structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
    t.is(new Uint8Array(moved)[MIB - 1], 7);
  } catch (error) {
    t.is((error as Error).name, 'DataCloneError');
  }
  t.is(block[MIB - 1], 7);
});

test.serial('young blocks are collected every few MiB', async (t) => {
  const count = 2000;
  let [asked, young] = [0, 0];
  const observer = new PerformanceObserver((list) => {
    for (const { kind, flags } of list.getEntries().map(detailOf)) {
      if ((flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) === 0) continue;
      asked++;
      if (kind === constants.NODE_PERFORMANCE_GC_MINOR) young++;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  for (let i = 0; i < count; i++) {
    allocateBlock(MIB)[0] = i;
    await turn();
  }
  await turn();
  observer.disconnect();
  // At least once in 24 MiB.
  t.true(asked > count / 30, `${asked} of ${count}`);
  // Where its threads wait for a CPU, V8 frees late, and makes whole collections of up to a third of the young ones.
  t.true(young > asked / 3, `${young} of ${asked} were young`);
});

test.serial('the context that lends the collector leaves no trace', (t) => {
  t.is(execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' }), 'mine undefined');
});

test('small blocks, and blocks that no class holds, are ordinary memory', (t) => {
  t.is(allocateBlock(0).length, 0);
  t.is(allocateBlock(100).length, 100);
  t.is(native().addon?.allocateBlock(2 ** 31), undefined);
});
