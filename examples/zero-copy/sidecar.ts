import { setImmediate } from 'node:timers/promises';
import { serve } from '../../src/index.js'; // from 'pillion'
import { camera } from './contract.js';

const server = await serve(camera, {
  frame: async (pixels, { sequence }) => {
    await setImmediate(); // the frame stays where it is until this promise settles
    if (sequence % 10 === 0) console.log(`frame ${sequence}: ${pixels.length} bytes of ${pixels.at(-1)}`);
  },
});
process.on('SIGTERM', () => server.close());
