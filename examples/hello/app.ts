import { connect } from '../../src/index.js'; // from 'pillion'
import { audit } from './contract.js';

const client = connect(audit); // returns at once, sidecar or not
client.send('log', { level: 'info', text: 'hello' }); // true: it outlives a crash of either process
console.log(await client.call('verify', { token: 'open sesame' }, { timeout: 2000 }));
console.log(client.callSync('verify', { token: 'open sesame' })); // blocks this thread, for about a microsecond
await client.call('verify', { token: 'guess' }).catch((error) => console.log(error.code, error.message));
await client.flush(); // everything accepted was handled
console.log('over', client.status().transport);
await client.close();
