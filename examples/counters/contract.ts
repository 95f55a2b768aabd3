import { contract, counter, gauge, histogram } from '../../src/index.js'; // from 'pillion'

export const shop = contract('shop', {
  orders: counter({ labels: ['country'], help: 'Orders taken' }),
  carts: gauge({ help: 'Carts in use' }),
  checkout_seconds: histogram({ buckets: [0.1, 0.5, 1], help: 'Time to check out' }),
});
