import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { fetch, Agent as UndiciAgent } from 'undici';
import { connect } from '../../src/index.js'; // from 'pillion'
import { web } from './contract.js';

const client = connect(web);

class PillionAgent extends Agent {
  override createConnection() {
    return client.duplex('http');
  }
}
const agent = new PillionAgent({ keepAlive: true });
const get = (path: string) =>
  new Promise<string>((resolve, reject) => {
    request({ agent, host: 'sidecar', path }, (response) => resolve(text(response)))
      .on('error', reject)
      .end();
  });
process.stdout.write(await get('/from-node-http'));

const dispatcher = new UndiciAgent({
  // In a moment, not at once: undici waits for its callback only after `connect` has returned.
  connect: (_options, callback) => queueMicrotask(() => callback(null, client.duplex('http') as never)),
});
const response = await fetch('http://sidecar/from-undici', { dispatcher, method: 'POST', body: 'x'.repeat(100_000) });
process.stdout.write(await response.text());

agent.destroy();
await dispatcher.close();
await client.close();
