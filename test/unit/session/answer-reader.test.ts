import test from 'ava';
import { ProtocolError } from '../../../src/errors.js';
import { resolveCodec } from '../../../src/protocol/codec.js';
import { STATE } from '../../../src/protocol/frame.js';
import { TAIL } from '../../../src/ring/memory.js';
import { type AnswerListener, AnswerReader } from '../../../src/session/answer-reader.js';
import type { PushFormat } from '../../../src/session/client-pushes.js';
import { testRing } from '../../helpers/ring.js';
import { bytesOf, type FrameVectors, vectors } from '../../helpers/vectors.js';

const { names, frames, reject } = vectors<FrameVectors>('frames');

/** Everything is wanted, and whatever is told is written down. */
function listener(heard: string[]): AnswerListener {
  const note =
    (what: string) =>
    (...args: unknown[]): void =>
      void heard.push(`${what} ${args[0]}`);
  return {
    onAnswer: note('answer'),
    onError: note('error'),
    onPing: () => void heard.push('ping'),
    onGoodbye: () => void heard.push('goodbye'),
    isPending: () => true,
    streams: {
      beginItem: () => true,
      has: () => true,
      onItem: note('item'),
      onEnd: note('end'),
      onCredit: note('credit'),
      onStop: note('stop'),
    },
    pushes: {
      formatOf: (kind, index) => {
        const entry = names[index];
        if (entry?.kind !== (kind === STATE ? 'state' : 'broadcast')) return undefined;
        return { name: entry.name, kind: entry.kind, codec: resolveCodec('raw') } as PushFormat;
      },
      wants: () => true,
      onState: (format) => void heard.push(`state ${format.name}`),
      onBroadcast: (format) => void heard.push(`broadcast ${format.name}`),
    },
  };
}

function feed(record: Buffer, length: number, heard: string[]): void {
  const { consumer, memory } = testRing(reject.ringCapacity);
  memory.bytes.set(record);
  memory.control[TAIL] = length;
  const reader = new AnswerReader(1_000_000);
  while (consumer.next()) reader.read(consumer, listener(heard));
}

for (const { name, record, header, recordBytes, sender } of reject.records) {
  if (sender !== 'server') continue;
  test(`a client does not take a record that a server must not send: ${name}`, (t) => {
    const heard: string[] = [];
    const bytes = bytesOf(record ?? (header as string));
    t.throws(() => feed(bytes, recordBytes ?? bytes.length, heard), { instanceOf: ProtocolError });
    t.deepEqual(heard, []);
  });
}

const told: Record<string, string> = { REPLY: 'answer', ERROR: 'error', CANCEL: 'stop', ITEM: 'item', END: 'end', CREDIT: 'credit' };

for (const { kindName, name, header, record, senders } of frames) {
  const { correlation, flags } = header;
  if (!senders.includes('server') || flags !== 0 || !(kindName in told) || correlation === 0) continue;
  if (kindName === 'ITEM' && header.aux !== 0) continue;
  test(`a client takes the golden bytes of a server: ${name}`, (t) => {
    const heard: string[] = [];
    const bytes = bytesOf(record);
    feed(bytes, bytes.length, heard);
    t.deepEqual(heard, [`${told[kindName]} ${correlation}`]);
  });
}
