import test from 'ava';
import { explore, type ModelOptions, type Mutant } from '../../helpers/park-model.js';

const sizes: ModelOptions[] = [
  { count: 3, capacity: 1 },
  { count: 3, capacity: 2 },
  { count: 4, capacity: 2 },
  { count: 3, capacity: 2, mayDie: true },
  { count: 2, capacity: 1, mayDie: true },
];

for (const options of sizes) {
  const { count, capacity, mayDie } = options;
  test(`nobody sleeps for ever and nothing is lost: ${count} messages, ring of ${capacity}${mayDie ? ', producer killed anywhere' : ''}`, (t) => {
    const { states, violation } = explore(options);
    t.is(violation, null);
    t.true(states > 100);
    t.log(`${states} states`);
  });
}

const mutants: Mutant[] = [
  'no fence between tail and parked',
  'no fence between parked and tail',
  'no fence between starved and head',
  'no fence between head and starved',
  'no second look at tail',
  'no second look at head',
  'parked read before tail is stored',
  'doorbell cleared after the ring was checked',
  'tail before payload',
  'no last look after hang-up',
];

for (const mutant of mutants) {
  test(`the model finds what is wrong with: ${mutant}`, (t) => {
    const found = [false, true]
      .map((mayDie) => explore({ count: 3, capacity: 1, mayDie, mutant }).violation)
      .find((violation) => violation !== null);
    t.truthy(found);
    t.log(found);
  });
}
