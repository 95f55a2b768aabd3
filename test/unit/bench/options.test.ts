import test from 'ava';
import { readRequest } from '../../../bench/options.js';

test('a payload makes a case of its own, with the three transports that most people have', (t) => {
  const request = readRequest(['--payload', '512', '--rate', '5000']);
  t.is(request?.scenarios.length, 1);
  t.like(request?.scenarios[0], { payloadBytes: 512, ratePerSec: 5_000, pattern: 'call', transports: ['shm', 'uds', 'http'] });
});

test('without one it is the suite, or the part of it that is asked for', (t) => {
  const request = readRequest(['--quick', '--only', 'call', '--transports', 'shm,http']);
  t.deepEqual(
    request?.scenarios.map(({ name, transports }) => [name, transports]),
    // Held on a CPU each, and as the scheduler places them.
    [
      ['call', ['shm', 'http']],
      ['call', ['shm', 'http']],
    ],
  );
  t.false(request?.withOverhead);
});

for (const [title, args, message] of [
  ['a payload without room for the check words', ['--payload', '8'], /--payload=8 is no number from 16/],
  ['an unknown transport', ['--transports', 'shm,pigeon'], /unknown name=pigeon; known: shm/],
  ['a rate together with a gap', ['--rate', '10', '--gap', '10'], /exclude each other/],
  ['an unknown pattern', ['--pattern', 'shout'], /--pattern=shout is none of call, event/],
  ['a case of one’s own in the suite', ['--payload', '64', '--quick'], /belong to the suite/],
  ['a repeated case of one’s own', ['--payload', '64', '--repeat', '3'], /belong to the suite/],
  ['a single repetition', ['--repeat', '1'], /--repeat=1 is no number from 2/],
  ['half a repetition', ['--repeat', '2.5'], /--repeat=2.5 is no whole number/],
  ['to repeat some transports', ['--repeat', '3', '--transports', 'shm'], /--repeat goes with/],
  ['to repeat what is no headline', ['--repeat', '3', '--only', 'clients'], /unknown name=clients; known: send, call/],
  ['a folder for a single run', ['--out', 'folder'], /--out belongs to --repeat/],
  ['half a client', ['--clients', '1.5'], /--clients=1.5 is no whole number/],
  ['to place a thread', ['--placement', 'held', '--transports', 'worker'], /needs a sidecar process that can be placed/],
] as const) {
  test(`refuses ${title}`, (t) => {
    t.throws(() => readRequest(args), { message });
  });
}

test('asking for help is no request', (t) => {
  t.is(readRequest(['--help']), undefined);
});
