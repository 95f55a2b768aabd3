import { serve } from '../../src/index.js'; // from 'pillion'
import { logs } from './contract.js';

const server = await serve(logs, {
  tail: async function* ({ level }) {
    try {
      for (let number = 1; ; number++) {
        if (number % 10 === 0) yield { level: 'error' as const, text: `line ${number} failed` };
        else if (level === 'info') yield { level: 'info' as const, text: `line ${number}` };
      }
    } finally {
      console.log('the reader has left'); // at once, whether it broke off, closed or died
    }
  },
});
console.log('listening at', server.path);
process.on('SIGTERM', () => server.close());
