/** The thread of `worker`. */

import { parentPort, workerData } from 'node:worker_threads';
import { Tally } from '../rig/tally.js';
import type { Message } from './peer-protocol.js';
import { answerMessage, asBytes } from './peer-protocol.js';
import type { Place } from './transport.js';

const tally = new Tally(workerData as Place);
parentPort?.on('message', (message: Message) => {
  answerMessage(message, tally, asBytes, (value) => {
    // The process's figures are the app's already.
    const own = 'r' in message ? { ...(value as object), cpuUs: 0, sleeps: 0, switches: 0 } : value;
    parentPort?.postMessage(own);
  });
});
