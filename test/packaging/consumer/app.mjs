import { connect } from 'pillion';
import { orders } from './contract.mjs';

const client = connect(orders, { path: process.argv[2] });
await client.ready();
for (const amount of [3, 5, 7]) client.send('placed', { amount });
const total = await client.call('total');
const { transport, fallbackReason } = client.status();
await client.close();
process.stdout.write(JSON.stringify({ total, transport, fallbackReason }));
