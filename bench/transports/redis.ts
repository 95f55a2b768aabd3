import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { asBuffer } from './as-buffer.js';
import { startBroker } from './broker.js';
import { InFlight } from './in-flight.js';
import { optional } from './optional.js';
import { PendingCalls } from './pending.js';
import type { Link, Service, Transport } from './transport.js';

const { createClient, RESP_TYPES } = await optional('@redis/client', () => import('@redis/client'));

/** Each client has a pair of channels of its own: what is published reaches everybody who listens. */
const requests = 'requests:';
const replies = 'replies:';
const mostInFlight = 256;

/** A Redis server beside the sidecar, over a Unix socket; both sides publish and subscribe. Three processes, so two hops each way. */
export const redis: Transport = {
  async serve(place, tally): Promise<Service> {
    const address = join(place.directory, 'redis.sock');
    const args = ['--unixsocket', address, '--port', '0', '--save', '', '--appendonly', 'no', '--dir', place.directory];
    const broker = await startBroker('redis-server', args, { path: address });
    const publisher = await open(address);
    const subscriber = await open(address);
    await subscriber.pSubscribe(
      `${requests}*`,
      (message, channel) => {
        if (place.oneWay) tally.take(message);
        else void publisher.publish(replies + channel.toString().slice(requests.length), tally.answer(message) as Buffer);
      },
      true,
    );
    return {
      address,
      async close() {
        publisher.destroy();
        subscriber.destroy();
        broker.kill('SIGKILL');
      },
    };
  },
  async connect(_place, address): Promise<Link> {
    const publisher = await open(address);
    const subscriber = await open(address);
    const pending = new PendingCalls();
    const inFlight = new InFlight(mostInFlight);
    const id = randomUUID();
    subscriber.on('error', (error: Error) => pending.fail(error));
    await subscriber.subscribe(replies + id, (message) => pending.settle(message), true);
    return {
      call(payload) {
        publisher.publish(requests + id, asBuffer(payload)).catch((error) => pending.fail(error));
        return pending.add();
      },
      event(payload) {
        if (inFlight.isFull) return false;
        inFlight.begin();
        publisher.publish(requests + id, Buffer.from(payload)).then(
          () => inFlight.end(),
          (error) => inFlight.end(error),
        );
        return true;
      },
      room: () => inFlight.room(),
      flush: () => inFlight.idle(),
      async close() {
        publisher.destroy();
        subscriber.destroy();
      },
    };
  },
};

async function open(path: string) {
  const client = createClient({ socket: { path, tls: false, reconnectStrategy: false } }).withTypeMapping({
    [RESP_TYPES.BLOB_STRING]: Buffer,
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}
