import { connect } from '../../src/index.js'; // from 'pillion'
import { shop } from './contract.js';

const client = connect(shop);
await client.ready();
const orders = client.counter('orders', { country: 'NZ' }); // keep it: add() is then a few nanoseconds
orders.add(1000);
client.gauge('carts').set(3);
client.histogram('checkout_seconds').observe(0.3);
process.kill(process.pid, 'SIGKILL'); // nothing is lost
