import { setImmediate as turn } from 'node:timers/promises';
import type { Tally } from '../rig/tally.js';
import { connectOver, library, socketPathIn } from './pillion-library.js';
import type { Link, Place, Service } from './transport.js';

/** Large events, filled and read where they lie, or copied in between. Both ways have the same memory at their disposal. */

const { contract, event, serve } = library;

const frames = contract('bench-frames', {
  lent: event({ codec: 'raw', borrow: true }),
  copied: event<Uint8Array>({ codec: 'raw' }),
});

/** A message of a quarter of the ring is one record, so that copying costs no more than its two copies. */
const sharedBytes = 8 * 2 ** 20;
/** Of a record, and what does not fit before the ring's end. */
const headroom = 2;

export const lending = { serve: serveFrames, connect: openLending };
export const copying = { serve: serveFrames, connect: openCopying };

async function serveFrames(place: Place, tally: Tally): Promise<Service> {
  const path = socketPathIn(place);
  const take = (frame: Uint8Array) => tally.frame(frame);
  const server = await serve(frames, { lent: take, copied: take }, { path, checkViews: false });
  return { address: path, close: () => server.close() };
}

async function openLending(_place: Place, path: string): Promise<Link> {
  const client = await connectOver(frames, 'shm', { path, arenaBytes: sharedBytes, checkViews: false });
  return {
    ...common(client),
    frame(length, fill) {
      const claim = client.claim('lent', length);
      if (claim === null) return false;
      fill(claim.view);
      // The claim had its place; but the record that tells of it may have none yet.
      if (claim.commit()) return true;
      claim.abort();
      return false;
    },
  };
}

async function openCopying(_place: Place, path: string): Promise<Link> {
  const client = await connectOver(frames, 'shm', { path, ringBytes: { toServer: sharedBytes } });
  let frame = new Uint8Array(0);
  return {
    ...common(client),
    frame(length, fill) {
      if (client.bufferedBytes + headroom * length > sharedBytes) return false;
      if (frame.length !== length) frame = new Uint8Array(length);
      fill(frame);
      return client.send('copied', frame);
    },
  };
}

type Connected = Awaited<ReturnType<typeof connectOver<typeof frames.definitions>>>;

function common(client: Connected): Pick<Link, 'room' | 'flush' | 'counters' | 'close'> {
  return {
    async room() {
      await turn();
    },
    flush: () => client.flush(),
    counters: () => ({ doorbells: client.stats().doorbells }),
    close: () => client.close(),
  };
}
