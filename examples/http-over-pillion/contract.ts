import { contract, duplex } from '../../src/index.js'; // from 'pillion'

export const web = contract('web', {
  http: duplex<Uint8Array, Uint8Array>({ codec: 'raw' }), // one stream is one connection
});
