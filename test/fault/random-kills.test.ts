import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { Line } from '../fixtures/node/lines.js';
import {
  checkLedgers,
  checkNoChildren,
  type LedgerEntry,
  type Program,
  place,
  readLedger,
  seeded,
  startApp,
  startSidecar,
  until,
} from '../fixtures/node/program.js';

test.afterEach.always('no child is left', checkNoChildren);

const KILLS = Number(process.env['PILLION_TEST_KILLS'] ?? 50);

test.serial(`${KILLS} kills of either side at random moments lose nothing that was accepted`, async (t) => {
  t.timeout(240_000);
  const random = seeded(t);
  const { path, ledger } = place(t);
  const files: string[] = [];
  let appNumber = 0;
  let handledTwice = 0;
  let app!: Program;

  const newSidecar = async (): Promise<Program> => {
    files.push(ledger(`sidecar-${files.length}`));
    return startSidecar(t, { path, ledger: files.at(-1) as string });
  };
  const newApp = async (): Promise<void> => {
    appNumber++;
    app = await startApp(t, { path, accepted: ledger(`app-${appNumber}`), ringBytes: { toServer: 2 ** (12 + Math.floor(random() * 6)) } });
    await app.ask('start', { perTurn: 1 + Math.floor(random() * 30), pauseMs: Math.floor(random() * 3), calls: random() < 0.5 });
  };
  /** Everything that this app had accepted was handled, in order. */
  const checkApp = (client: string): void => {
    const accepted = readFileSync(ledger(`app-${appNumber}`), 'utf8')
      .trim()
      .split('\n').length;
    const handled: LedgerEntry[][] = files.map((file) => readLedger(file).filter((entry) => entry.client === client));
    const last = handled.flat().reduce((most, { id }) => Math.max(most, id), 0);
    t.true(last === accepted || last === accepted + 1, `app ${appNumber}: ${accepted} accepted, ${last} handled`);
    handledTwice += checkLedgers(t, handled, last);
  };

  /** The client id of the app that has just been started, or comes back. */
  const connected = async (isThis: (client: unknown) => boolean): Promise<string> => {
    const fits = (line: Line): boolean => 'connect' in line && isThis(line['connect']);
    await until('the app is connected', () => !sidecar.isRunning || sidecar.lines.some(fits));
    return sidecar.lines.find(fits)?.['connect'] as string;
  };

  const former = new Set<unknown>();
  let sidecar = await newSidecar();
  await newApp();
  let client = await connected(() => true);
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(random() * 60);
    if (random() < 0.7) {
      await sidecar.kill();
      sidecar = await newSidecar();
    } else {
      // An app that no sidecar is connected to takes its events along.
      await connected((id) => id === client);
      await sleep(random() * 20);
      await app.kill();
      await sidecar.next((line) => line['disconnect'] === client);
      checkApp(client);
      former.add(client);
      await newApp();
      client = await connected((id) => !former.has(id));
    }
  }
  await app.ask('stop');
  await app.ask('flush');
  checkApp(client);
  t.log(`${files.length} sidecars, ${appNumber} apps, ${handledTwice} events handled twice`);
});
