import { connect } from '../../src/index.js'; // from 'pillion'
import { camera } from './contract.js';

const client = connect(camera, { arenaBytes: 4 * 2 ** 20 }); // NODE_ENV=production makes views the memory itself
for (let number = 1; number <= 30; ) {
  const claim = client.claim('frame', 2 ** 20);
  if (claim === null) {
    await client.flush(); // no room until the sidecar is done with some
    continue;
  }
  claim.view.fill(number++); // a camera, an encoder, a file would write here
  claim.commit(); // now it is the sidecar's
}
await client.flush();
console.log('over', client.status().transport, client.stats().arenaUsedBytes, 'bytes in use');
await client.close();
