import test from 'ava';
import fc from 'fast-check';
import { alignedLength, maxPayloadBytes } from '../../../src/ring/layout.js';
import { pattern } from '../../helpers/bytes.js';
import { type TestRing, take, testRing } from '../../helpers/ring.js';
import { random } from '../../helpers/seed.js';

const CAPACITY = 512;

interface Entry {
  length: number;
  id: number;
}

/** What a ring must look like from outside: queues of records in each stage of their life. */
interface Model {
  committed: Entry[];
  published: Entry[];
  read: Entry[];
  released: Entry[];
  nextId: number;
}

const bytesOf = (...lists: Entry[][]): number => lists.flat().reduce((sum, { length }) => sum + alignedLength(length), 0);

type Step = fc.Command<Model, TestRing>;

class Write implements Step {
  private readonly length: number;
  constructor(length: number) {
    this.length = length;
  }
  check = (): boolean => true;
  run(model: Model, { producer }: TestRing): void {
    const fits = bytesOf(model.committed, model.published, model.read, model.released) + alignedLength(this.length) <= CAPACITY;
    const offset = producer.tryClaim(this.length);
    if (offset >= 0 !== fits) throw new Error(`claim of ${this.length} returned ${offset}, the model says ${fits}`);
    if (!fits) return;
    const id = model.nextId++;
    producer.bytes.set(pattern(this.length, id), offset);
    producer.commit(this.length, 1, id, ~id);
    model.committed.push({ length: this.length, id });
  }
  toString = (): string => `write(${this.length})`;
}

class Abort implements Step {
  private readonly length: number;
  constructor(length: number) {
    this.length = length;
  }
  check = (): boolean => true;
  run(_model: Model, { producer }: TestRing): void {
    const offset = producer.tryClaim(this.length);
    if (offset >= 0) producer.bytes.fill(0xdd, offset, offset + this.length);
  }
  toString = (): string => `abort(${this.length})`;
}

class Publish implements Step {
  check = (): boolean => true;
  run(model: Model, { producer }: TestRing): void {
    producer.publish();
    model.published.push(...model.committed.splice(0));
  }
  toString = (): string => 'publish';
}

class Read implements Step {
  check = (): boolean => true;
  run(model: Model, { consumer }: TestRing): void {
    const expected = model.published.shift();
    const seen = take(consumer);
    if (expected === undefined) {
      if (seen !== null) throw new Error('read a record that is not there');
      return;
    }
    const { length, id } = expected;
    const isSame = seen?.correlationId === id && seen.aux === ~id && Buffer.compare(seen.payload, pattern(length, id)) === 0;
    if (!isSame) throw new Error(`record ${id} of ${length} bytes was read as ${seen?.correlationId}, ${seen?.payload.length} bytes`);
    model.read.push(expected);
  }
  toString = (): string => 'read';
}

class Release implements Step {
  private readonly share: number;
  constructor(share: number) {
    this.share = share;
  }
  check = (): boolean => true;
  run(model: Model, { consumer }: TestRing): void {
    const count = Math.ceil(model.read.length * this.share);
    const kept = bytesOf(model.read.slice(count));
    model.released.push(...model.read.splice(0, count));
    consumer.release((consumer.readPosition - kept) | 0);
    if (consumer.heldBytes !== kept) throw new Error(`held=${consumer.heldBytes}, the model says ${kept}`);
  }
  toString = (): string => `release(${this.share})`;
}

class PublishHead implements Step {
  check = (): boolean => true;
  run(model: Model, { consumer, producer }: TestRing): void {
    consumer.publishHead();
    model.released.length = 0;
    producer.refreshHead();
    const used = bytesOf(model.committed, model.published, model.read);
    if (producer.usedBytes !== used) throw new Error(`used=${producer.usedBytes}, the model says ${used}`);
  }
  toString = (): string => 'publishHead';
}

const length = fc.integer({ min: 0, max: maxPayloadBytes(CAPACITY) });
const commands = fc.commands(
  [
    length.map((bytes) => new Write(bytes)),
    length.map((bytes) => new Write(bytes)),
    length.map((bytes) => new Abort(bytes)),
    fc.constant(new Publish()),
    fc.constant(new Read()),
    fc.constant(new Read()),
    fc.constantFrom(0, 0.5, 1).map((share) => new Release(share)),
    fc.constant(new PublishHead()),
  ],
  { maxCommands: 200, size: 'max' },
);

test('a ring behaves like a queue with stages, whatever is done in whatever order', (t) => {
  const { seed } = random();
  t.log(`seed ${seed}`);
  fc.assert(
    fc.property(fc.nat(0x1fffffff), commands, (start, steps) => {
      // Near the wrap of the positions for every other run.
      const position = start % 2 === 0 ? (start * 8) | 0 : -8 * (1 + (start % 128));
      const model: Model = { committed: [], published: [], read: [], released: [], nextId: 1 };
      fc.modelRun(() => ({ model, real: testRing(CAPACITY, position) }), steps);
    }),
    { seed, numRuns: 300 },
  );
  t.pass();
});
