/** A process whose connections are idle. */

import { loadTransport } from '../transports/index.js';
import type { Link } from '../transports/transport.js';
import { offered } from './offered.js';
import { blankPayload, replyMark, requestMark, stamp, verify } from './payload.js';
import { answerParent } from './questions.js';

let links: Link[] = [];
let wake: (first: number) => Promise<unknown> = async () => {};

answerParent({
  async gather({ transport: name, place, address, count }) {
    const transport = await loadTransport(name);
    links = await Promise.all(Array.from({ length: count }, () => transport.connect(place, address)));
    wake = (first) =>
      Promise.all(
        links.map(async (link, index) => {
          const payload = blankPayload(place.payloadBytes);
          stamp(payload, first + index, requestMark);
          const reply = await offered({ transport: name, pattern: place.pattern }, link.call)(payload);
          verify(reply, payload.length, first + index, replyMark);
        }),
      );
    return null;
  },
  async wake({ first }) {
    await wake(first);
    return null;
  },
  async close() {
    await Promise.all(links.map((link) => link.close()));
    // After the answer has left: what a transport forgot to close must not keep this process.
    setImmediate(() => process.disconnect());
    return null;
  },
});
