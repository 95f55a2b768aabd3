import test from 'ava';
import { ASLEEP, AWAKE, DOZING } from '../../../src/ring/layout.js';
import { PARKED } from '../../../src/ring/memory.js';
import { testRing } from '../../helpers/ring.js';

const cases = [
  { name: 'an awake consumer', parked: AWAKE, forEvent: true, rings: false, after: AWAKE },
  { name: 'an awake consumer', parked: AWAKE, forEvent: false, rings: false, after: AWAKE },
  { name: 'a sleeping consumer', parked: ASLEEP, forEvent: true, rings: true, after: AWAKE },
  { name: 'a sleeping consumer', parked: ASLEEP, forEvent: false, rings: true, after: AWAKE },
  { name: 'a dozing consumer', parked: DOZING, forEvent: true, rings: false, after: DOZING },
  { name: 'a dozing consumer', parked: DOZING, forEvent: false, rings: true, after: AWAKE },
];

for (const { name, parked, forEvent, rings, after } of cases) {
  test(`${name} is ${rings ? 'woken once' : 'left alone'} for ${forEvent ? 'an event' : 'anything else'}`, (t) => {
    const { memory, producer, consumer } = testRing(256);
    memory.control[PARKED] = parked;
    t.is(producer.isConsumerParked, parked !== AWAKE);
    t.is(consumer.isParked, parked !== AWAKE);
    t.is(producer.takeBell(forEvent), rings);
    t.is(memory.control[PARKED], after);
    t.false(producer.takeBell(forEvent), 'the second time somebody has rung already');
  });
}

test('a value that no peer may store counts as dozing', (t) => {
  for (const nonsense of [3, -1, 0x7fffffff]) {
    const { memory, producer } = testRing(256);
    memory.control[PARKED] = nonsense;
    t.false(producer.takeBell(true));
    t.true(producer.takeBell(false));
    t.is(memory.control[PARKED], AWAKE);
  }
});
