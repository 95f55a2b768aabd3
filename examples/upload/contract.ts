import { contract, upload } from '../../src/index.js'; // from 'pillion'

export const files = contract('files', {
  sum: upload<number, number>(), // many items, one answer
  store: upload<Uint8Array, Uint8Array>({ codec: 'raw' }), // bytes, and bytes in answer
});
