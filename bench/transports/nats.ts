import { Unavailable } from '../rig/questions.js';
import { freePort, startBroker } from './broker.js';
import { optional } from './optional.js';
import type { Place, Service, Transport } from './transport.js';

const { connect } = await optional('@nats-io/transport-node', () => import('@nats-io/transport-node'));

const host = '127.0.0.1';
const subject = 'bench';
/** Unanswered events before the next flush, which is a round trip to the broker. */
const eventsPerFlush = 1_024;

/** A NATS server beside the sidecar, on loopback; request and reply, or publish. Three processes, so two hops each way. */
export const nats: Transport = {
  async serve(place: Place, tally): Promise<Service> {
    const port = await freePort(host);
    const broker = await startBroker('nats-server', ['-a', host, '-p', String(port)], { port, host });
    const connection = await connect({ servers: `${host}:${port}`, reconnect: false });
    connection.subscribe(subject, {
      callback(_error, message) {
        if (place.oneWay) tally.take(message.data);
        else message.respond(tally.answer(message.data));
      },
    });
    await connection.flush();
    return {
      address: String(port),
      async close() {
        await connection.close();
        broker.kill('SIGKILL');
      },
    };
  },
  async connect({ payloadBytes }, port) {
    const connection = await connect({ servers: `${host}:${port}`, reconnect: false });
    const mostBytes = connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
    if (payloadBytes > mostBytes) {
      await connection.close();
      throw new Unavailable(`the NATS server takes messages of at most max_payload=${mostBytes} bytes`);
    }
    let unflushed = 0;
    const flush = async () => {
      await connection.flush();
      unflushed = 0;
    };
    return {
      call: async (payload) => (await connection.request(subject, payload, { timeout: 10_000 })).data,
      event(payload) {
        if (unflushed === eventsPerFlush) return false;
        unflushed++;
        connection.publish(subject, Buffer.from(payload));
        return true;
      },
      room: flush,
      flush,
      close: () => connection.close(),
    };
  },
};
