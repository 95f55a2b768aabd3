import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Client, ConnectOptions, Contract } from '../../src/index.js';
import type { Place } from './transport.js';

/** Another build of pillion, to hold against this one: the path of its `index.js`. */
const otherLibrary = process.env['PILLION_BENCH_LIBRARY'];

/** The pillion that is measured. */
export const library = (
  otherLibrary ? await import(pathToFileURL(otherLibrary).href) : await import('../../src/index.js')
) as typeof import('../../src/index.js');

export type Wait = NonNullable<ConnectOptions['wait']>;
export type WantedTransport = 'shm' | 'socket';

export function socketPathIn({ directory }: Place): string {
  return join(directory, 'pillion.sock');
}

/** Connected, and over the transport that is wanted: a row must not measure another one. */
export async function connectOver<D extends Contract['definitions']>(
  contract: Contract<D>,
  wanted: WantedTransport,
  options: ConnectOptions,
): Promise<Client<D>> {
  const client = library.connect(contract, { ...options, transport: wanted === 'socket' ? 'socket' : 'auto' });
  await client.ready();
  const { transport, fallbackReason } = client.status();
  if (transport !== wanted) throw new Error(`pillion runs over ${transport}: ${fallbackReason ?? 'no reason given'}`);
  return client;
}
