/** Log shipping: cheap lines, a ring that fills up, and nothing lost that was accepted. */
import { once } from 'node:events';
import { connect, contract, event, method, serve } from '../../src/index.js'; // from 'pillion'
import { twoProcesses } from './two-processes.js';

const logs = contract('logs', {
  line: event<{ level: string; text: string }>({ lingerMs: 50 }), // nobody is woken for a single line
  alarm: event<{ text: string }>({ overflow: 'wait', waitMs: 1000 }), // rather late than dropped
  count: method<void, number>(),
});

let lines = 0;
await twoProcesses(app, (path) => serve(logs, { line: () => void lines++, alarm: () => void lines++, count: () => lines }, { path }));

async function app(path: string) {
  // A small ring, so that this example can fill it.
  const client = connect(logs, { path, ringBytes: { toServer: 4096 } });
  let accepted = 0;
  // Before any sidecar is there: what is accepted waits in the ring.
  while (client.send('line', { level: 'info', text: 'started' })) accepted++;
  console.log('full, and says so:', client.needsDrain);
  await once(client, 'drain');
  // Many lines, published at once.
  client.batch(() => {
    for (let i = 0; i < 10; i++) if (client.send('line', { level: 'debug', text: `step ${i}` })) accepted++;
  });
  // A source that can wait is slowed down instead.
  for (let i = 0; i < 500; i++) {
    await client.sendWhenFree('line', { level: 'info', text: 'x'.repeat(200) });
    accepted++;
  }
  if (client.send('alarm', { text: 'disk full' })) accepted++;
  await client.flush();
  const counted = await client.call('count');
  console.log(counted === accepted ? 'every accepted line arrived' : `lost ${accepted - counted} of ${accepted}`);
  await client.close();
}
