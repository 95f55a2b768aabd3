import type { Transport } from './transport.js';

/** Loaded by name, so that each process holds the code of its own transport only. */
const loaders: Record<string, () => Promise<Transport>> = {
  'pillion-shm': async () => (await import('./pillion.js')).pillionShm,
  'pillion-socket': async () => (await import('./pillion.js')).pillionSocket,
  function: async () => (await import('./function.js')).functionCall,
  uds: async () => (await import('./net.js')).unixSocket,
  tcp: async () => (await import('./net.js')).tcp,
  http: async () => (await import('./http.js')).http,
  'http-uds': async () => (await import('./http.js')).httpOverUnixSocket,
  fetch: async () => (await import('./fetch.js')).fetchPost,
  'file-append': async () => (await import('./file.js')).fileAppend,
  'file-write': async () => (await import('./file.js')).fileWrite,
  limit: async () => (await import('./limit.js')).limit,
};

export const transportNames = Object.keys(loaders);

export async function loadTransport(name: string): Promise<Transport> {
  const load = loaders[name];
  if (!load) throw new Error(`unknown transport name=${name}`);
  return load();
}
