import { createServer } from 'node:http';
import { duplexHandler, serve } from '../../src/index.js'; // from 'pillion'
import { web } from './contract.js';

// An HTTP server as any other: it listens nowhere, and is handed its connections.
const httpServer = createServer(async (request, response) => {
  let length = 0;
  for await (const chunk of request) length += chunk.length;
  response.end(`${request.method} ${request.url}, ${length} bytes\n`);
});

const server = await serve(web, { http: duplexHandler((socket) => httpServer.emit('connection', socket)) });
console.log('serving HTTP at', server.path);
process.on('SIGTERM', () => server.close());
