import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import type { Tally } from '../rig/tally.js';
import { FrameReader, packRange, unpackRange, writeFrames } from './frames.js';
import type { Link } from './transport.js';

/** Streams are the body of an answer, uploads that of a request: chunked, because their length is not known before. */

export async function answerStream(body: Uint8Array, response: ServerResponse, tally: Tally): Promise<void> {
  response.writeHead(200);
  await writeFrames(response, tally.items(unpackRange(body)));
  response.end();
}

export async function takeUpload(request: IncomingMessage, response: ServerResponse, tally: Tally): Promise<void> {
  await readFrames(request, (item) => tally.takeItem(item));
  response.writeHead(204).end();
}

/** `post` begins a request and says when its answer begins. */
export function linkOfItems(post: (path: string) => [ClientRequest, Promise<IncomingMessage>]): Pick<Link, 'stream' | 'upload'> {
  return {
    async stream(range, take) {
      const [request, answered] = post('/stream');
      request.end(packRange(range));
      await readFrames(await answered, take);
    },
    async upload(items) {
      const [request, answered] = post('/upload');
      const [response] = await Promise.all([answered, writeFrames(request, items).then(() => request.end())]);
      await readFrames(response, () => {});
    },
  };
}

function readFrames(message: IncomingMessage, take: (item: Uint8Array) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const reader = new FrameReader(take, () => {});
    message.on('data', (chunk: Buffer) => reader.read(chunk));
    message.on('end', resolve);
    message.on('error', reject);
  });
}
