import test from 'ava';
import { usableProcessors } from '../../src/processors.js';
import { sleepy } from '../fixtures/node/calls.js';
import { checkNoChildren, place, startApp, startSidecar } from '../fixtures/node/program.js';

/** Where waking up takes longer than a spin may, two sides that sleep must not go on doing so for as long as they talk. */

test.afterEach.always('no child is left', checkNoChildren);

const callsInTurn = 200;
/** On a busy machine many attempts are disturbed; but where one never gets there, none does. */
const mostAttempts = 150;

for (const isSync of [false, true]) {
  for (const us of [100, 400]) {
    test.serial(
      `${isSync ? 'blocking ' : ''}calls in a row wake nobody up in the end, though a wake-up takes ${us} us longer`,
      async (t) => {
        if (usableProcessors() < 2) {
          t.log('not tried: with one processor, or a quota below two, nobody spins');
          return t.pass();
        }
        const { path } = place(t);
        await startSidecar(t, { path }, { env: sleepy(us) });
        const app = await startApp(t, { path, wait: 'adaptive' }, { env: sleepy(us) });
        await app.ask('ready');
        const doorbells: number[] = [];
        do {
          doorbells.push(await app.ask<number>('callInTurn', { count: callsInTurn, isSync }));
        } while (doorbells.length < mostAttempts && (doorbells.at(-1) as number) > callsInTurn / 20);
        t.true((doorbells.at(-1) as number) <= callsInTurn / 20, `doorbells of ${callsInTurn} calls each: ${doorbells.join(' ')}`);
        t.log(`doorbells of ${callsInTurn} calls each: ${doorbells.join(' ')}`);
        await app.ask('close');
      },
    );
  }
}
