import { serve } from '../../src/index.js'; // from 'pillion'
import { audit } from './contract.js';

const server = await serve(audit, {
  log: ({ level, text }, context) => console.log(level, text, 'from process', context.peer.pid),
  verify: async ({ token }) => {
    if (token !== 'open sesame') throw Object.assign(new Error('unknown token'), { code: 'EAUTH' });
    return { user: 'ali' };
  },
});
console.log('listening at', server.path);
process.on('SIGTERM', () => server.close());
