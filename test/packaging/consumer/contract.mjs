import { contract, event, method } from 'pillion';

export const orders = contract('orders', { placed: event(), total: method() });
