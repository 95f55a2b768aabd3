/** Announcements: the sidecar tells all apps, some of them, or one. */
import { broadcast, connect, contract, method, serve } from '../../src/index.js'; // from 'pillion'
import { twoProcesses } from './two-processes.js';

const keys = contract('keys', {
  revoked: broadcast<{ keyId: string }>({ slowClient: 'disconnect' }), // nobody may miss one and go on
  load: broadcast<{ percent: number }>({ slowClient: 'latest' }), // the last one is all that matters
  revoke: method<{ keyId: string; onlyMe: boolean }, number>(), // how many were told
  sync: method(),
});

await twoProcesses(app, async (path) => {
  const server = await serve(
    keys,
    {
      sync: () => {},
      revoke: ({ keyId, onlyMe }, { clientId }): number => server.broadcast('revoked', { keyId }, onlyMe ? { to: clientId } : {}),
    },
    { path },
  );
  return server;
});

async function app(path: string) {
  const clients = ['first', 'second'].map((name) => {
    const client = connect(keys, { path });
    client.subscribe('revoked', ({ keyId }) => console.log(name, 'hears of', keyId));
    return client;
  });
  await Promise.all(clients.map((client) => client.ready()));
  const [first] = clients;
  console.log('told', await first?.call('revoke', { keyId: 'k1', onlyMe: false }));
  console.log('told', await first?.call('revoke', { keyId: 'k2', onlyMe: true }));
  // What a sidecar said before it answers has arrived before the answer.
  await Promise.all(clients.map((client) => client.call('sync')));
  await Promise.all(clients.map((client) => client.close()));
}
