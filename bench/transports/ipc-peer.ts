/** The second process of `ipc-json` and `ipc-advanced`. */

import { Tally } from '../rig/tally.js';
import type { Message } from './peer-protocol.js';
import { answerMessage, asBytes, base64 } from './peer-protocol.js';
import type { Place } from './transport.js';

const [, , serialization, place] = process.argv;
const tally = new Tally(JSON.parse(place as string) as Place);
const packing = serialization === 'json' ? base64 : asBytes;
process.on('message', (message) => answerMessage(message as Message, tally, packing, (value) => void process.send?.(value)));
process.once('disconnect', () => process.exit());
process.send?.('ready');
