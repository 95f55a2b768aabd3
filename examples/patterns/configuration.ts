/** Configuration: the sidecar owns it, the app reads it like a variable. */
import { once } from 'node:events';
import { connect, contract, method, serve, state } from '../../src/index.js'; // from 'pillion'
import { twoProcesses } from './two-processes.js';

interface Settings {
  logLevel: 'info' | 'debug';
  sampling: number;
}

const configuration = contract('configuration', {
  settings: state<Settings>({ default: { logLevel: 'info', sampling: 1 } }),
  edit: method<Partial<Settings>>(), // in real life the sidecar watches a file or a control plane
});

await twoProcesses(app, (path) => sidecar(path));

async function sidecar(path: string) {
  const server = await serve(
    configuration,
    { edit: (change): void => settings.set({ ...(settings.value as Settings), ...change }) },
    { path },
  );
  const settings = server.state('settings');
  settings.set({ logLevel: 'info', sampling: 0.5 });
  return server;
}

async function app(path: string) {
  const client = connect(configuration, { path });
  const settings = client.state('settings');
  console.log('before the sidecar is there', settings.value, settings.isStale ? '(default)' : '');
  await once(settings, 'change');
  console.log('from the sidecar', settings.value);
  const changed = once(settings, 'change');
  await client.call('edit', { logLevel: 'debug' });
  await changed;
  console.log('changed', settings.value?.logLevel);
  await client.close();
}
