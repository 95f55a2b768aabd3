import test from 'ava';
import { connect, contract, event, method, type Server, serve } from '../../src/index.js';
import { pattern } from '../helpers/bytes.js';
import { socketPath } from '../helpers/socket-path.js';
import { conformance } from './fixtures/contract.js';
import { handlers } from './fixtures/handlers.js';
import { transportOptions } from './fixtures/suite.js';

for (const transport of ['shm', 'socket'] as const) {
  test(`${transport}: client and server may share a process`, async (t) => {
    const path = socketPath();
    const server = await serve(conformance, handlers, { path });
    const client = connect(conformance, { path, ...transportOptions(transport) });
    t.is(await client.call('echo', 1), 1);
    t.is(client.status().transport, transport);
    t.is(client.status().peer?.pid, process.pid);
    t.is((await client.call('echoRaw', pattern(1_000_000))).length, 1_000_000);
    for (let number = 0; number < 100; number++) t.true(client.send('note', { number }));
    await client.flush({ timeout: 20_000 });
    t.is(server.stats().eventsHandled, 100);
    await client.close();
    await server.close();
    t.is(server.stats().clients, 0);
  });

  test(`${transport}: servers of different contracts do not get in each other's way`, async (t) => {
    const names = ['one', 'two', 'three'];
    const pairs = await Promise.all(
      names.map(async (name) => {
        const mine = contract(name, { who: method<void, string>(), tell: event<number>() });
        const told: number[] = [];
        const path = socketPath();
        const server = await serve(mine, { who: () => name, tell: (number) => void told.push(number) }, { path });
        return { name, told, server, client: connect(mine, { path, ...transportOptions(transport) }) };
      }),
    );
    for (let number = 0; number < 50; number++) for (const { client } of pairs) client.send('tell', number);
    for (const { client, name, told } of pairs) {
      t.is(await client.call('who'), name);
      await client.flush({ timeout: 20_000 });
      t.is(told.length, 50);
    }
    await Promise.all(pairs.map(({ client }) => client.close()));
    await Promise.all(pairs.map(({ server }) => server.close()));
  });

  test(`${transport}: many clients of one server each keep their own order`, async (t) => {
    const path = socketPath();
    const mine = contract('many', { tell: event<[client: number, number: number]>() });
    const told: number[][] = [];
    const tell = ([client, number]: [number, number]): void => {
      told[client] ??= [];
      told[client].push(number);
    };
    const server = await serve(mine, { tell }, { path });
    const clients = Array.from({ length: 8 }, () => connect(mine, { path, ...transportOptions(transport) }));
    for (let number = 0; number < 200; number++) for (const [index, client] of clients.entries()) client.send('tell', [index, number]);
    await Promise.all(clients.map((client) => client.flush({ timeout: 20_000 })));
    const all = Array.from({ length: 200 }, (_, number) => number);
    t.deepEqual(
      told,
      clients.map(() => all),
    );
    t.is(server.stats().clients, 8);
    await Promise.all(clients.map((client) => client.close()));
    await server.close();
  });

  test(`${transport}: disposing of a server closes it`, async (t) => {
    const path = socketPath();
    const server: Server<(typeof conformance)['definitions']> = await serve(conformance, handlers, { path });
    const client = connect(conformance, { path, ...transportOptions(transport) });
    t.is(await client.call('echo', 1), 1);
    await server[Symbol.asyncDispose]();
    await server.close();
    t.is(server.stats().clients, 0);
    await client.close();
    // The path is free again.
    await (await serve(conformance, handlers, { path })).close();
  });
}
