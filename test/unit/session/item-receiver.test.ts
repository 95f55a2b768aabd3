import test from 'ava';
import { ProtocolError } from '../../../src/errors.js';
import { ItemReceiver } from '../../../src/session/item-receiver.js';

/** A receiver with a window of 100 bytes, and what it has told its session. */
function start(window = 100) {
  const granted: number[] = [];
  const cancelled: unknown[] = [];
  const receiver = new ItemReceiver<number>(window, {
    onConsumed: (bytes) => granted.push(bytes),
    onCancel: (reason) => cancelled.push(reason),
  });
  return { receiver, granted, cancelled };
}

const end = { value: undefined, done: true };

test('two that wait get one item each, in their order, and then the end', async (t) => {
  const { receiver } = start();
  const waiting = [receiver.next(), receiver.next(), receiver.next(), receiver.next()];
  receiver.push(1, 24);
  receiver.push(2, 24);
  receiver.end(null);
  t.deepEqual(await Promise.all(waiting), [{ value: 1, done: false }, { value: 2, done: false }, end, end]);
});

test('an error is told to one of those who wait, after what had arrived, and once', async (t) => {
  const { receiver } = start();
  receiver.push(1, 24);
  receiver.end({ reason: new Error('broken') });
  const [first, second, third] = [receiver.next(), receiver.next(), receiver.next()];
  t.deepEqual(await first, { value: 1, done: false });
  await t.throwsAsync(second, { message: 'broken' });
  t.deepEqual(await third, end);
  t.deepEqual(await receiver.next(), end);
});

test('an error that nobody reads is nobody’s unhandled rejection', async (t) => {
  const { receiver } = start();
  receiver.end({ reason: new Error('broken') });
  await new Promise((resolve) => setImmediate(resolve));
  t.pass();
});

test('return() settles a next() that waits, and cancels once', async (t) => {
  const { receiver, cancelled } = start();
  const waiting = receiver.next();
  t.deepEqual(await receiver.return(), end);
  t.deepEqual(await waiting, end);
  await receiver.return();
  receiver.end({ reason: new Error('too late') });
  t.deepEqual(await receiver.next(), end);
  t.is(cancelled.length, 1);
});

test('throw() cancels, and rejects with what it was given', async (t) => {
  const { receiver, cancelled } = start();
  await t.throwsAsync(receiver.throw(new Error('mine')), { message: 'mine' });
  t.is(cancelled.length, 1);
});

test('credit is given back when items are read, by halves of the window, and for what is thrown away', async (t) => {
  const { receiver, granted } = start();
  for (let item = 0; item < 4; item++) receiver.push(item, 24);
  t.deepEqual(granted, []);
  await receiver.next();
  await receiver.next();
  t.deepEqual(granted, []);
  await receiver.next();
  t.deepEqual(granted, [72]);
  receiver.push(5, 24);
  await receiver.return();
  receiver.push(6, 24);
  t.deepEqual(granted, [72, 72]);
});

test('an item without credit breaks the protocol', (t) => {
  const { receiver } = start(24);
  receiver.begin();
  receiver.push(1, 24);
  t.throws(() => receiver.begin(), { instanceOf: ProtocolError });
});

test('many unread items keep their order', async (t) => {
  const { receiver } = start(1_000_000);
  for (let item = 0; item < 5000; item++) receiver.push(item, 24);
  receiver.end(null);
  let expected = 0;
  for await (const item of receiver) t.is(item, expected++);
  t.is(expected, 5000);
});
