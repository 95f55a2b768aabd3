import type { Account } from '../rig/payload.js';
import { serveOverTcp, serveOverUnixSocket } from './http.js';
import { optional } from './optional.js';
import type { Link, Transport } from './transport.js';

const { Pool } = await optional('undici', () => import('undici'));

/** undici's own `request`, which is what `fetch` is made of, without the parts that browsers prescribe. */
export const undici: Transport = {
  serve: serveOverTcp,
  connect: async (_place, port) => open(new Pool(`http://127.0.0.1:${port}`)),
};

export const undiciOverUnixSocket: Transport = {
  serve: serveOverUnixSocket,
  connect: async (_place, socketPath) => open(new Pool('http://localhost', { connect: { socketPath } })),
};

function open(pool: InstanceType<typeof Pool>): Link {
  return {
    async call(payload) {
      const { body } = await pool.request({ method: 'POST', path: '/bytes', body: payload });
      return new Uint8Array(await body.arrayBuffer());
    },
    async lookup(request) {
      const { body } = await pool.request({ method: 'POST', path: '/lookup', body: JSON.stringify(request) });
      return (await body.json()) as Account;
    },
    close: () => pool.destroy(),
  };
}
