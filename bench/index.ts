/**
 * What a transport of one's own needs: `npx pillion-bench --transports shm,./mine.mjs` measures the default export of `mine.mjs`, a
 * `Transport`, beside the others. Nothing of this is loaded by `import 'pillion'`.
 */

export type { Result, Row } from './result.js';
export type { Account, LogLine, Lookup, Range } from './rig/payload.js';
export { Unavailable } from './rig/questions.js';
export type { Tally } from './rig/tally.js';
export type { Link, Place, Service, Transport } from './transports/transport.js';
