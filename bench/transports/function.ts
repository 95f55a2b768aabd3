import type { Account } from '../rig/payload.js';
import { Tally } from '../rig/tally.js';
import type { Link, Place, Transport } from './transport.js';

/** No second process at all: what the same work costs as a function of the app. */
export const functionCall: Transport = {
  async connect(place: Place): Promise<Link> {
    const tally = new Tally(place);
    const intact = <T>(result: T): T => {
      if (tally.fault) throw new Error(tally.fault);
      return result;
    };
    let value: Account | undefined;
    let total = 0;
    return {
      async publish(account) {
        value = intact(tally.publish(account));
      },
      read: () => value,
      count: () => tally.counted(++total),
      call: async (payload) => intact(tally.answer(payload)),
      lookup: async (request) => intact(tally.lookup(request)),
      callSync: (payload) => intact(tally.answer(payload)),
      send(line) {
        tally.line(line);
        return intact(true);
      },
      async close() {},
    };
  },
};
