import type { Account } from '../rig/payload.js';
import { serveOverTcp } from './http.js';
import type { Link, Place, Transport } from './transport.js';

/** The global `fetch`: one POST per message over its own pool of kept-alive connections. */
export const fetchPost: Transport = {
  serve: serveOverTcp,
  async connect(_place: Place, port: string): Promise<Link> {
    const base = `http://127.0.0.1:${port}`;
    return {
      async call(payload) {
        const response = await fetch(`${base}/bytes`, { method: 'POST', body: payload as Uint8Array<ArrayBuffer> });
        return new Uint8Array(await response.arrayBuffer());
      },
      async lookup(request) {
        const response = await fetch(`${base}/lookup`, { method: 'POST', body: JSON.stringify(request) });
        return (await response.json()) as Account;
      },
      async close() {},
    };
  },
};
