import { contract, event } from '../../src/index.js'; // from 'pillion'

export const camera = contract('camera', {
  frame: event({ codec: 'raw', borrow: true }), // bytes, read where the app has written them
});
