import { createServer, connect as dial, type Socket } from 'node:net';
import test from 'ava';
import { connect } from '../../src/index.js';
import { digest, pattern } from '../helpers/bytes.js';
import { random } from '../helpers/seed.js';
import { socketPath } from '../helpers/socket-path.js';
import { conformance } from './fixtures/contract.js';
import { Suite } from './fixtures/suite.js';

const suite = new Suite();

/** A proxy that hands every byte stream on in pieces of its own choice. Resolves with its path. */
async function splitter(nextLength: () => number): Promise<{ path: string; close(): void }> {
  const path = socketPath();
  const sockets = new Set<Socket>();
  const forward = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.on('error', () => to.destroy());
    from.on('close', () => to.end());
    from.on('data', async (chunk: Buffer) => {
      from.pause();
      for (let at = 0; at < chunk.length; ) {
        const piece = chunk.subarray(at, at + nextLength());
        at += piece.length;
        await new Promise<void>((resolve) => to.write(piece, () => resolve()));
      }
      from.resume();
    });
  };
  const server = createServer((near) => {
    const far = dial(suite.path);
    forward(near, far);
    forward(far, near);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function converse(path: string): Promise<string[]> {
  const client = connect(conformance, { path, transport: 'socket' });
  const answers: string[] = [];
  for (const size of [0, 1, 7, 8, 9, 100, 700]) {
    client.send('blob', pattern(size));
    answers.push(digest(await client.call('echoRaw', pattern(size), { timeout: 20_000 })));
  }
  await client.flush({ timeout: 20_000 });
  await client.close();
  return answers;
}

const expected = [0, 1, 7, 8, 9, 100, 700].map((size) => digest(pattern(size)));

test.serial('socket: frames that arrive byte by byte are the same frames', async (t) => {
  const proxy = await splitter(() => 1);
  t.deepEqual(await converse(proxy.path), expected);
  t.deepEqual(
    (await suite.heard(expected.length)).map(({ value }) => value),
    expected,
  );
  proxy.close();
});

test.serial('socket: frames that arrive in pieces of any length are the same frames', async (t) => {
  const { seed, below } = random();
  t.log(`seed ${seed}`);
  const proxy = await splitter(() => 1 + below(40));
  t.deepEqual(await converse(proxy.path), expected);
  t.is((await suite.heard(expected.length)).length, expected.length);
  proxy.close();
});
