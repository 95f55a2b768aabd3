import { serve } from 'pillion';
import { orders } from './contract.mjs';

let sum = 0;
const handlers = {
  placed({ amount }) {
    sum += amount;
  },
  total: () => sum,
};
await serve(orders, handlers, { path: process.argv[2] });
process.stdout.write('serving\n');
