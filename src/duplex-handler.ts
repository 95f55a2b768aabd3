import type { DuplexEnd } from './session/duplex-end.js';
import type { HandlerContext } from './session/handler-context.js';
import type { DuplexSocket, DuplexSocketOptions } from './streams/duplex.js';
import { asError } from './streams/inlet.js';

/**
 * A handler of a `duplex` that is given a Node stream, for example to serve HTTP:
 *
 *     const handlers = { http: duplexHandler((socket) => httpServer.emit('connection', socket)) };
 *
 * An app that breaks off must not be able to end the sidecar by an `error` event that nobody listens to: there is a listener, and the server's `handlerError` tells what
 * the app did not cause.
 */
export function duplexHandler(
  onSocket: (socket: DuplexSocket, context: HandlerContext) => unknown,
  options?: DuplexSocketOptions,
): (stream: DuplexEnd<unknown, unknown>, context: HandlerContext) => Promise<void> {
  return (stream, context) =>
    new Promise((resolve, reject) => {
      const socket = stream.toDuplex(options);
      socket.once('error', reject).once('close', resolve);
      // Also if it is emitted once more by somebody else.
      socket.on('error', () => {});
      const run = async (): Promise<unknown> => onSocket(socket, context);
      run().catch((error: unknown) => socket.destroy(asError(error)));
    });
}
