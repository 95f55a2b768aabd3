import { once } from 'node:events';
import { join } from 'node:path';
import type { ClientReadableStream, ServerWritableStream, ServiceError } from '@grpc/grpc-js';
import { asBuffer } from './as-buffer.js';
import { packRange, unpackRange } from './frames.js';
import { optional } from './optional.js';
import type { Transport } from './transport.js';

const grpcJs = await optional('@grpc/grpc-js', async () => (await import('@grpc/grpc-js')).default);

const asItIs = (bytes: Buffer) => bytes;
const bytes = {
  requestStream: false,
  responseStream: false,
  requestSerialize: asItIs,
  requestDeserialize: asItIs,
  responseSerialize: asItIs,
  responseDeserialize: asItIs,
};
const definition = {
  echo: { ...bytes, path: '/bench.Echo/Echo' },
  items: { ...bytes, path: '/bench.Echo/Items', responseStream: true },
};
const EchoClient = grpcJs.makeGenericClientConstructor(definition, 'Echo');
const unlimited = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };

type Unary = (request: Buffer, callback: (error: ServiceError | null, reply: Buffer) => void) => void;
type ServerStreaming = (request: Buffer) => ClientReadableStream<Buffer>;

/** @grpc/grpc-js over a Unix socket: unary calls and server streams of raw bytes, without the cost of Protocol Buffers. */
export const grpc: Transport = {
  async serve(place, tally) {
    const server = new grpcJs.Server(unlimited);
    server.addService(definition, {
      echo: (call: { request: Buffer }, reply: (error: null, bytes: Uint8Array) => void) => reply(null, tally.answer(call.request)),
      items: async (call: ServerWritableStream<Buffer, Buffer>) => {
        for (const item of tally.items(unpackRange(call.request))) {
          if (!call.write(Buffer.from(item))) await once(call, 'drain');
        }
        call.end();
      },
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
      async stream(range, take) {
        const items = (client['items'] as ServerStreaming)(asBuffer(packRange(range)));
        items.on('data', take);
        await once(items, 'end');
      },
      call: (payload) =>
        new Promise((resolve, reject) => echo(asBuffer(payload), (error, reply) => (error ? reject(error) : resolve(reply)))),
      close: async () => client.close(),
    };
  },
};
