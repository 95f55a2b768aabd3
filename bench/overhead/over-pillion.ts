import { join } from 'node:path';
import { connect, contract, event, method, serve as servePillion } from '../../src/index.js';
import type { Access, Served } from './access.js';
import type { Duties, LogEntry, Sample } from './duties.js';

const sidecar = contract('bench-sidecar', {
  verify: method<string, string>(),
  log: event<LogEntry>(),
  measure: event<Sample>(),
});

export async function serve(duties: Duties, directory: string): Promise<Served> {
  const address = join(directory, 'sidecar.sock');
  const handlers = {
    verify: (token: string) => duties.verify(token),
    log: (entry: LogEntry) => duties.log(entry),
    measure: (sample: Sample) => duties.measure(sample),
  };
  const server = await servePillion(sidecar, handlers, { path: address });
  return { address, socketBytes: () => server.stats().doorbells };
}

/**
 * Messages lie in shared memory. Its socket carries nothing but doorbells of one byte each, and each side counts those it sent. The
 * handshake came before anything is measured.
 */
export async function open(path: string): Promise<Access> {
  const client = connect(sidecar, { path });
  await client.ready();
  const { transport, fallbackReason } = client.status();
  if (transport !== 'shm') throw new Error(`pillion runs over ${transport}: ${fallbackReason ?? 'no reason given'}`);
  return {
    verify: (token) => client.call('verify', token),
    log: (entry) => void client.send('log', entry),
    measure: (sample) => void client.send('measure', sample),
    flush: () => client.flush(),
    sentBytes: () => client.stats().doorbells,
  };
}
