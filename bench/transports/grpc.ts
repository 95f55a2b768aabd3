import { join } from 'node:path';
import type { ServiceError } from '@grpc/grpc-js';
import { asBuffer } from './as-buffer.js';
import { optional } from './optional.js';
import type { Transport } from './transport.js';

const grpcJs = await optional('@grpc/grpc-js', async () => (await import('@grpc/grpc-js')).default);

const asItIs = (bytes: Buffer) => bytes;
const definition = {
  echo: {
    path: '/bench.Echo/Echo',
    requestStream: false,
    responseStream: false,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  },
};
const EchoClient = grpcJs.makeGenericClientConstructor(definition, 'Echo');
const unlimited = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };

type Unary = (request: Buffer, callback: (error: ServiceError | null, reply: Buffer) => void) => void;

/** @grpc/grpc-js over a Unix socket: unary calls of raw bytes, without the cost of Protocol Buffers. */
export const grpc: Transport = {
  async serve(place, tally) {
    const server = new grpcJs.Server(unlimited);
    server.addService(definition, {
      echo: (call: { request: Buffer }, reply: (error: null, bytes: Uint8Array) => void) => reply(null, tally.answer(call.request)),
    });
    const address = `unix:${join(place.directory, 'grpc.sock')}`;
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(address, grpcJs.ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()));
    });
    return { address, close: async () => server.forceShutdown() };
  },
  async connect(_place, address) {
    const client = new EchoClient(address, grpcJs.credentials.createInsecure(), unlimited);
    const echo = (client['echo'] as Unary).bind(client);
    return {
      call: (payload) =>
        new Promise((resolve, reject) => echo(asBuffer(payload), (error, reply) => (error ? reject(error) : resolve(reply)))),
      close: async () => client.close(),
    };
  },
};
