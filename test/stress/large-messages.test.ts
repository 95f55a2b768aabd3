import { freemem } from 'node:os';
import type { ExecutionContext } from 'ava';
import { connectFlow, overBoth, startFlowSidecar } from '../conformance/fixtures/flow-suite.js';
import type { Transport } from '../conformance/fixtures/suite.js';
import { digest, pattern } from '../helpers/bytes.js';
import { socketPath } from '../helpers/socket-path.js';

const MIB = 1024 * 1024;
const LONG = { timeout: 300_000 };

/** One message of this size to the sidecar, unchanged, with small ones answered meanwhile. */
async function sendOne(t: ExecutionContext, transport: Transport, mib: number): Promise<void> {
  // The message at both ends, the receiver's buffer while it grows, and room for everybody else.
  if (freemem() < 5 * mib * MIB) return t.pass(`left out: ${Math.round(freemem() / MIB)} MiB are free`) as unknown as undefined;
  const path = socketPath();
  const sidecar = await startFlowSidecar(path, { maxMessageBytes: 1024 * MIB });
  t.teardown(() => sidecar.stop());
  const client = await connectFlow(t, path, transport, { maxMessageBytes: 1024 * MIB });
  const bytes = pattern(mib * MIB);
  let isDone = false;
  let small = 0;
  const answer = client.call('digest', bytes, LONG).then((text) => {
    isDone = true;
    return text;
  });
  for (; !isDone; small++) await client.call('echo', small, LONG);
  t.is(Buffer.from(await answer).toString(), digest(bytes));
  t.true(small > 1);
  t.log(`${small} small calls meanwhile`);
}

for (const mib of [256, 1024]) {
  overBoth(`${mib} MiB in one message arrive unchanged, and small calls are answered meanwhile`, (t, transport) =>
    sendOne(t, transport, mib),
  );
}

overBoth('an answer of 256 MiB arrives unchanged', async (t, transport) => {
  const path = socketPath();
  const sidecar = await startFlowSidecar(path, { maxMessageBytes: 256 * MIB });
  t.teardown(() => sidecar.stop());
  const client = await connectFlow(t, path, transport, { maxMessageBytes: 256 * MIB });
  const bytes = pattern(256 * MIB);
  t.is(digest(await client.call('echoRaw', bytes, LONG)), digest(bytes));
});
