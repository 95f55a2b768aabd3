import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { connect } from '../../src/index.js'; // from 'pillion'
import { files } from './contract.js';

const client = connect(files);

// Anything that can be iterated over, as fast as the sidecar reads it.
console.log('sum', await client.upload('sum', [1, 2, 3]));
console.log('sum', await client.upload('sum', Readable.from([10, 20, 30])));

// Or the end of a pipeline.
const writable = client.uploadWritable('store');
await pipeline(Readable.from([Buffer.alloc(300_000, 'log line\n')]), createGzip(), writable);
console.log('stored', Buffer.from(await writable.result).toString().length);
await client.close();
