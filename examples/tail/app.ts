import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connect } from '../../src/index.js'; // from 'pillion'
import { type LogLine, logs } from './contract.js';

const client = connect(logs);

let count = 0;
for await (const { level, text } of client.stream('tail', { level: 'error' })) {
  console.log(level, text);
  if (++count === 3) break; // the sidecar makes no further line
}

// The same as a Node stream: pipelines, operators, web streams.
const print = new Writable({
  objectMode: true,
  write: ({ text }: LogLine, _encoding, done) => {
    console.log(text);
    done();
  },
});
await pipeline(client.stream('tail', { level: 'info' }).toReadable().take(2), print);
await client.close();
