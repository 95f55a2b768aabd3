import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Transport } from './transport.js';

/** Loaded by name, so that each process holds the code of its own transport only. */
const loaders: Record<string, () => Promise<Transport>> = {
  shm: async () => (await import('./pillion.js')).shm,
  'shm-park': async () => (await import('./pillion.js')).shmPark,
  'shm-spin': async () => (await import('./pillion.js')).shmSpin,
  socket: async () => (await import('./pillion.js')).socket,
  'shm-copy': async () => (await import('./pillion-frames.js')).copying,
  function: async () => (await import('./function.js')).functionCall,
  uds: async () => (await import('./net.js')).unixSocket,
  tcp: async () => (await import('./net.js')).tcp,
  http: async () => (await import('./http.js')).http,
  'http-uds': async () => (await import('./http.js')).httpOverUnixSocket,
  fetch: async () => (await import('./fetch.js')).fetchPost,
  undici: async () => (await import('./undici.js')).undici,
  'undici-uds': async () => (await import('./undici.js')).undiciOverUnixSocket,
  http2: async () => (await import('./http2.js')).http2,
  grpc: async () => (await import('./grpc.js')).grpc,
  zeromq: async () => (await import('./zeromq.js')).zeromq,
  'ipc-json': async () => (await import('./ipc.js')).ipcJson,
  'ipc-advanced': async () => (await import('./ipc.js')).ipcAdvanced,
  worker: async () => (await import('./worker.js')).worker,
  ws: async () => (await import('./ws.js')).ws,
  'file-append': async () => (await import('./file-append.js')).fileAppend,
  'file-write': async () => (await import('./file-write.js')).fileWrite,
  'file-tail': async () => (await import('./file-write.js')).fileTail,
  fifo: async () => (await import('./fifo.js')).fifo,
  'signal-file': async () => (await import('./signal-file.js')).signalFile,
  nats: async () => (await import('./nats.js')).nats,
  redis: async () => (await import('./redis.js')).redis,
  'limit-ring': async () => (await import('./limit.js')).limitRing,
  'limit-stream': async () => (await import('./limit.js')).limitStream,
  'limit-line': async () => (await import('./limit.js')).limitLine,
  'limit-memcpy': async () => (await import('./limit.js')).limitMemcpy,
  'limit-syscall': async () => (await import('./limit.js')).limitSyscall,
  'limit-wake': async () => (await import('./limit.js')).limitWake,
};

export const transportNames = Object.keys(loaders);

/** A transport of somebody's own is given as the path of its file. */
export function isTransport(name: string): boolean {
  return name in loaders || (/\.[cm]?[jt]s$/.test(name) && existsSync(name));
}

export async function loadTransport(name: string): Promise<Transport> {
  const load = loaders[name];
  if (load) return load();
  if (!isTransport(name)) throw new Error(`unknown transport name=${name}`);
  const { default: transport } = (await import(pathToFileURL(resolve(name)).href)) as { default?: Transport };
  if (typeof transport?.connect !== 'function') throw new Error(`${name} has no transport as its default export`);
  return transport;
}
