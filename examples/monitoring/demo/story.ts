import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../../src/index.js';
import { monitoring, type Summary } from '../contract.js';
import { Customers } from './customers.js';
import type { Screen } from './screen.js';
import type { Actor, Stage } from './stage.js';

const ORDERS = 4000;
const ORDERS_PER_SECOND = 1000;
/** The thawed sidecar is then, more often than not, in the middle of its backlog. */
const THAW_MS = 2;

/** The app's first requests run cold code, which says nothing about sidecars: they are not in the table. */
type Phase = 'warming up' | (typeof PHASES)[number];

export const PHASES = ['not started yet', 'running', 'frozen', 'dead', 'restarted'] as const;

export interface Outcome {
  customers: Customers;
  /** Orders answered while no sidecar was there, or it was frozen. */
  unattendedCount: number;
  acceptedCount: number;
  droppedCount: number;
  metricsPort: number;
  summary: Summary;
  /** What pillion's messages travel over on this machine. */
  transport: 'shm' | 'socket';
  app: Actor;
  sidecar: Actor;
}

/** The same shop under five kinds of sidecar, while the customers never stop ordering. */
export async function play(stage: Stage, screen: Screen): Promise<Outcome> {
  const app = stage.start('order service', '../order-service.js');
  const { port } = await app.receive('listening');
  screen.line(`The order service runs (pid ${app.pid}). There is no sidecar yet, and it takes orders all the same.`);

  const customers = new Customers(port, ORDERS, ORDERS_PER_SECOND);
  const enter = (phase: Phase, text?: string) => {
    customers.phase = phase;
    if (text !== undefined) screen.line(`${String(customers.answeredCount).padStart(5)} orders  ${text}`);
  };
  enter('warming up');
  screen.follow('orders', ORDERS, () => customers.answeredCount);
  const allOrders = customers.run();
  const until = (count: number) => Promise.race([customers.answered(count), allOrders]);

  await until(250);
  enter('not started yet');
  await until(500);
  const first = stage.start('sidecar', '../monitoring-sidecar.js');
  await first.receive('listening');
  enter('running', `the sidecar is started (pid ${first.pid}) and gets what it missed`);
  let unattendedCount = customers.orders.size;

  await until(1500);
  const atFreeze = customers.orders.size;
  first.signal('SIGSTOP');
  enter('frozen', 'the sidecar is frozen with SIGSTOP');

  await until(2000);
  first.signal('SIGCONT');
  await sleep(THAW_MS);
  await first.end('SIGKILL');
  enter('dead', 'it thaws, and is killed with SIGKILL right after');

  await until(3000);
  const second = stage.start('second sidecar', '../monitoring-sidecar.js');
  const { port: metricsPort } = await second.receive('listening');
  unattendedCount += customers.orders.size - atFreeze;
  enter('restarted', `a new sidecar is started (pid ${second.pid})`);

  await allOrders;
  app.ask('flush');
  const { accepted, dropped } = await app.receive('flushed');
  screen.stop();
  screen.line(`${String(customers.answeredCount).padStart(5)} orders  done, and every event is handled`);
  return {
    customers,
    unattendedCount,
    acceptedCount: accepted,
    droppedCount: dropped,
    metricsPort,
    ...(await askSidecar(stage.socket)),
    app,
    sidecar: second,
  };
}

/** The demo is a client of the sidecar itself for a moment, to ask it what it has on its books. */
async function askSidecar(path: string): Promise<Pick<Outcome, 'summary' | 'transport'>> {
  const client = connect(monitoring, { path });
  try {
    const summary = await client.call('summary', null, { timeout: 5000 });
    return { summary, transport: client.status().transport ?? 'socket' };
  } finally {
    await client.close();
  }
}
