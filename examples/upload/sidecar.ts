import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { serve } from '../../src/index.js'; // from 'pillion'
import { files } from './contract.js';

const server = await serve(files, {
  sum: async (numbers) => {
    let sum = 0;
    for await (const number of numbers) sum += number;
    return sum;
  },
  store: async (bytes) => {
    const hash = createHash('sha256');
    await pipeline(bytes.toReadable(), hash);
    return Buffer.from(hash.digest('hex'));
  },
});
console.log('listening at', server.path);
process.on('SIGTERM', () => server.close());
