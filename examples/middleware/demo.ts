import { Registry } from 'prom-client';
import { connect, contract, event, method, serve } from '../../src/index.js'; // from 'pillion'
import { requireToken } from './auth.js';
import { metrics } from './metrics.js';
import { resilient } from './resilience.js';

/** All three at once, app and sidecar in one process. Socket path: PILLION_SOCKET. */
const shop = contract('shop', { viewed: event<string>(), price: method<string, number>({ idempotent: true }) });
const busy = Object.assign(new Error('too much to do'), { code: 'EBUSY' });
const registry = new Registry();
let failuresLeft = 2;

const server = await serve(
  shop,
  {
    viewed: (article) => console.log(article, 'was viewed'),
    price: (article) => {
      if (failuresLeft-- > 0) throw busy;
      return article.length;
    },
  },
  { use: [metrics(registry), requireToken(['s3cret'])] },
);
const client = connect(shop, { use: [resilient(['price'], { attempts: 3, failures: 5 })] });
const headers = { token: 's3cret' };

client.send('viewed', 'tea', { headers });
console.log('price', await client.call('price', 'tea', { headers }), 'after two failures');
await client.call('price', 'tea').catch(({ code, message }) => console.log(code, message));
failuresLeft = Number.POSITIVE_INFINITY;
for (let call = 1; call <= 3; call++) await client.call('price', 'tea', { headers }).catch((error) => console.log(call, error.message));
console.log(
  (await registry.metrics())
    .split('\n')
    .filter((line) => /^pillion_message_seconds_count/.test(line))
    .join('\n'),
);
await client.close();
await server.close();
