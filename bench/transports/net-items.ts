import type { Socket } from 'node:net';
import type { Tally } from '../rig/tally.js';
import { FrameReader, frameOf, packRange, unpackRange, writeFrames } from './frames.js';
import type { PendingCalls } from './pending.js';
import type { Link, Place } from './transport.js';

/** Streams and uploads over a raw socket, in frames. What holds the producer back is the socket's own buffer. */

const confirmation = Buffer.from([1]);
const nothing = new Uint8Array(0);

export function isOfItems({ pattern }: Place): boolean {
  return pattern === 'stream' || pattern === 'upload';
}

export function serveItems(socket: Socket, { pattern }: Place, tally: Tally): void {
  const answer = (range: Uint8Array) => {
    writeFrames(socket, tally.items(unpackRange(range))).catch((error) => socket.destroy(error));
  };
  const reader =
    pattern === 'stream'
      ? new FrameReader(answer, () => {})
      : new FrameReader(
          (item) => tally.takeItem(item),
          () => socket.write(confirmation),
        );
  socket.on('data', (chunk) => reader.read(chunk));
}

export function linkOfItems(socket: Socket, { pattern }: Place, pending: PendingCalls): Pick<Link, 'stream' | 'upload'> {
  if (pattern === 'upload') {
    socket.on('data', () => pending.settle(nothing));
    return {
      async upload(items) {
        const confirmed = pending.add();
        await Promise.all([writeFrames(socket, items), confirmed]);
      },
    };
  }
  let current = (_: Uint8Array) => {};
  const reader = new FrameReader(
    (item) => current(item),
    () => pending.settle(nothing),
  );
  socket.on('data', (chunk) => reader.read(chunk));
  return {
    async stream(range, take) {
      current = take;
      socket.write(frameOf(packRange(range)));
      await pending.add();
    },
  };
}
