/**
 * The sleeping and waking of a ring's two ends (docs/protocol.md, section 4) as a model whose every reachable state can be looked at.
 *
 * Each end has a store buffer as x86 has one: its stores become visible later, in order, at any time; a fence or an exchange waits until all have. Loads see the own
 * buffer first. Doorbells are kernel state and no fences. The producer sends `count` messages through a ring of `capacity`.
 */
export interface ModelOptions {
  count: number;
  capacity: number;
  /** The producer may be killed between any two steps. */
  mayDie?: boolean;
  /** One deliberate mistake. */
  mutant?: Mutant;
}

export type Mutant =
  | 'no fence between tail and parked'
  | 'no fence between parked and tail'
  | 'no fence between starved and head'
  | 'no fence between head and starved'
  | 'no second look at tail'
  | 'no second look at head'
  | 'parked read before tail is stored'
  | 'doorbell cleared after the ring was checked'
  | 'tail before payload'
  | 'no last look after hang-up';

export interface Exploration {
  states: number;
  /** What went wrong first, if anything. */
  violation: string | null;
}

type Word = 'tail' | 'head' | 'parked' | 'starved' | `data${number}`;

interface End {
  at: string;
  /** Own position: private, as in the real thing. */
  position: number;
  /** What the last load gave. */
  seen: number;
  buffer: [Word, number][];
}

interface State {
  memory: Partial<Record<Word, number>>;
  /** Doorbells not yet received; more than one is as good as one. */
  bells: { producer: boolean; consumer: boolean };
  isDead: boolean;
  producer: End;
  consumer: End;
  violation: string | null;
}

/** One step of one end. It may change the state in place; `false`: it has to wait. */
type Step = (state: State, self: End, options: ModelOptions) => boolean | undefined;

function load({ memory }: State, { buffer }: End, word: Word): number {
  return buffer.findLast(([stored]) => stored === word)?.[1] ?? memory[word] ?? 0;
}

/** A step that stores, and goes on. */
const store = (word: (self: End, options: ModelOptions) => Word, value: (self: End) => number, next: string): Step => {
  return (_state, self, options) => {
    self.buffer.push([word(self, options), value(self)]);
    self.at = next;
    return true;
  };
};

/** A step that waits until all own stores are visible, unless the mutant forgets it. */
const fence = (next: string, forgotten: Mutant): Step => {
  return (_state, self, { mutant }) => {
    if (mutant !== forgotten && self.buffer.length > 0) return false;
    self.at = next;
    return true;
  };
};

/** Swaps a word to 0, which is a fence too, and rings if it was not 0. */
const takeBell = (word: 'parked' | 'starved', ring: 'producer' | 'consumer', next: string): Step => {
  return (state, self) => {
    if (self.buffer.length > 0) return false;
    if (state.memory[word] === 1) state.bells[ring] = true;
    state.memory[word] = 0;
    self.at = next;
    return true;
  };
};

const go = (next: (state: State, self: End, options: ModelOptions) => string): Step => {
  return (state, self, options) => {
    self.at = next(state, self, options);
    return true;
  };
};

const hasSpace = ({ position, seen }: End, { capacity }: ModelOptions): boolean => position - seen < capacity;
const slot = (position: number, { capacity }: ModelOptions): Word => `data${position % capacity}`;

const producerSteps: Record<string, Step> = {
  begin: go((_state, self, options) => (self.position === options.count ? 'done' : hasSpace(self, options) ? 'write' : 'look')),
  look: go((state, self, options) => {
    self.seen = load(state, self, 'head');
    return hasSpace(self, options) ? 'write' : 'starve';
  }),
  starve: store(
    () => 'starved',
    () => 1,
    'starve fence',
  ),
  'starve fence': fence('look again', 'no fence between starved and head'),
  'look again': go((state, self, options) => {
    if (options.mutant !== 'no second look at head') self.seen = load(state, self, 'head');
    return hasSpace(self, options) ? 'write' : 'sleep';
  }),
  sleep: (state, self) => {
    if (!state.bells.producer) return false;
    state.bells.producer = false;
    self.at = 'look';
    return true;
  },
  write: (state, self, options) => {
    const payload: [Word, number] = [slot(self.position, options), self.position + 1];
    const tail: [Word, number] = ['tail', self.position + 1];
    const isPeeking = options.mutant === 'parked read before tail is stored';
    if (isPeeking) self.seen = -load(state, self, 'parked') - 1;
    self.buffer.push(...(options.mutant === 'tail before payload' ? [tail, payload] : [payload, tail]));
    self.position++;
    self.at = 'publish fence';
    return true;
  },
  'publish fence': fence('check parked', 'no fence between tail and parked'),
  'check parked': go((state, self, { mutant }) => {
    const isPeeking = mutant === 'parked read before tail is stored';
    const parked = isPeeking ? -self.seen - 1 : load(state, self, 'parked');
    // The word that the mutant kept its answer in is needed again.
    if (isPeeking) self.seen = load(state, self, 'head');
    return parked === 1 ? 'ring' : 'begin';
  }),
  ring: takeBell('parked', 'consumer', 'begin'),
};

const consumerSteps: Record<string, Step> = {
  look: go((state, self, options) => {
    self.seen = load(state, self, 'tail');
    if (self.seen !== self.position) return 'read';
    return self.position === options.count ? 'done' : 'park';
  }),
  park: store(
    () => 'parked',
    () => 1,
    'park fence',
  ),
  'park fence': fence('look again', 'no fence between parked and tail'),
  'look again': go((state, self, { mutant }) => {
    if (mutant !== 'no second look at tail') self.seen = load(state, self, 'tail');
    return self.seen !== self.position ? 'unpark' : 'sleep';
  }),
  unpark: store(
    () => 'parked',
    () => 0,
    'look',
  ),
  sleep: (state, self, { mutant }) => {
    if (!state.bells.consumer && !state.isDead) return false;
    const isLate = mutant === 'doorbell cleared after the ring was checked';
    if (isLate) self.seen = load(state, self, 'tail');
    if (state.bells.consumer) self.at = isLate ? 'clear late' : 'clear';
    else self.at = mutant === 'no last look after hang-up' ? 'done' : 'last look';
    return true;
  },
  clear: (state, self) => {
    state.bells.consumer = false;
    self.at = 'unpark';
    return true;
  },
  // The mistake: what came between the check and this is slept through.
  'clear late': (state, self) => {
    state.bells.consumer = false;
    self.buffer.push(['parked', self.seen === self.position ? 1 : 0]);
    self.at = self.seen === self.position ? 'sleep' : 'look';
    return true;
  },
  'last look': go((state, self) => {
    self.seen = load(state, self, 'tail');
    return self.seen !== self.position ? 'read' : 'done';
  }),
  read: (state, self, options) => {
    const value = load(state, self, slot(self.position, options));
    if (value !== self.position + 1) state.violation = `message ${self.position + 1} was read as ${value}`;
    self.position++;
    self.buffer.push(['head', self.position]);
    self.at = 'release fence';
    return true;
  },
  'release fence': fence('check starved', 'no fence between head and starved'),
  'check starved': go((state, self) => (load(state, self, 'starved') === 1 ? 'ring' : 'more')),
  ring: takeBell('starved', 'producer', 'more'),
  more: go((_state, self) => (self.seen !== self.position ? 'read' : 'look')),
};

/** All states that can follow, one step later. */
function successors(state: State, options: ModelOptions): State[] {
  const next: State[] = [];
  const attempt = (change: (copy: State) => boolean | undefined): void => {
    const copy = structuredClone(state);
    if (change(copy)) next.push(copy);
  };
  for (const [name, steps] of [
    ['producer', producerSteps],
    ['consumer', consumerSteps],
  ] as const) {
    const step = steps[state[name].at];
    if (step !== undefined) attempt((copy) => step(copy, copy[name], options));
    attempt((copy) => {
      const oldest = copy[name].buffer.shift();
      if (oldest !== undefined) copy.memory[oldest[0]] = oldest[1];
      return oldest !== undefined;
    });
  }
  if (options.mayDie && !state.isDead) {
    attempt((copy) => {
      for (const [word, value] of copy.producer.buffer.splice(0)) copy.memory[word] = value;
      copy.isDead = true;
      copy.producer.at = 'dead';
      return true;
    });
  }
  return next;
}

function violationOf(state: State, hasNext: boolean, { count }: ModelOptions): string | null {
  if (state.violation !== null || hasNext) return state.violation;
  const { producer, consumer } = state;
  if (consumer.at !== 'done' || (producer.at !== 'done' && producer.at !== 'dead')) return `both sleep: ${producer.at} / ${consumer.at}`;
  const published = state.isDead ? (state.memory.tail ?? 0) : count;
  return consumer.position === published ? null : `${published} were published, ${consumer.position} were read`;
}

/** Walks through all reachable states, up to the first in which something is wrong. */
export function explore(options: ModelOptions): Exploration {
  const end = (at: string): End => ({ at, position: 0, seen: 0, buffer: [] });
  const first: State = {
    memory: {},
    bells: { producer: false, consumer: false },
    isDead: false,
    producer: end('begin'),
    consumer: end('look'),
    violation: null,
  };
  const known = new Set([JSON.stringify(first)]);
  const waiting = [first];
  for (let state = waiting.pop(); state !== undefined; state = waiting.pop()) {
    const next = successors(state, options);
    const violation = violationOf(state, next.length > 0, options);
    if (violation !== null) return { states: known.size, violation };
    for (const candidate of next) {
      const key = JSON.stringify([
        ...['tail', 'head', 'parked', 'starved', 'data0', 'data1', 'data2'].map((word) => candidate.memory[word as Word] ?? 0),
        candidate.bells,
        candidate.isDead,
        candidate.producer,
        candidate.consumer,
        candidate.violation,
      ]);
      if (known.has(key)) continue;
      known.add(key);
      waiting.push(candidate);
    }
  }
  return { states: known.size, violation: null };
}
