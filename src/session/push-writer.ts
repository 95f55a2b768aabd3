import { PillionError } from '../errors.js';
import type { PayloadCodec } from '../protocol/codec.js';
import { EVENT, META, STATE, tagOf } from '../protocol/frame.js';
import { behindHeaders } from '../protocol/headers.js';
import { privateCopy } from '../ring/copy.js';
import { type FrameWriter, stable } from './frame-writer.js';

/**
 * What becomes of a broadcast whose client does not read fast enough: `drop` it and count, keep just the `latest` of its name until there is room, or
 * `disconnect` the client.
 */
export type SlowClientPolicy = 'drop' | 'latest' | 'disconnect';

/** A value that goes to many clients, behind headers or not: encoded once for each codec that they speak. */
export class SharedMessage {
  /** Of its frames. */
  readonly flags: number;
  private readonly value: unknown;
  private readonly headers: Uint8Array | null;
  private readonly encoded = new Map<string, Uint8Array>();

  constructor(value: unknown, headers: Uint8Array | null = null) {
    this.value = value;
    this.headers = headers;
    this.flags = headers === null ? 0 : META;
  }

  bytesFor(codec: PayloadCodec): Uint8Array {
    let bytes = this.encoded.get(codec.name);
    if (bytes === undefined) {
      const payload = codec.encode(this.value);
      bytes = this.headers === null ? privateCopy(payload.bytes, payload.start, payload.end) : behindHeaders(this.headers, payload).bytes;
      this.encoded.set(codec.name, bytes);
    }
    return bytes;
  }
}

/** Where a name of ours stands in a client's table, and how its bytes are made there. */
export interface PushTarget {
  readonly index: number;
  readonly codec: PayloadCodec;
}

export interface PushWriterHost {
  readonly writer: FrameWriter;
  /** The client's table, by name. */
  readonly targets: ReadonlyMap<string, PushTarget>;
  readonly maxMessageBytes: number;
  /** Pushes are like events: a client that dozes need not be woken. */
  announce(): void;
  /** The session cannot go on. */
  onFault(error: unknown): void;
}

/**
 * What the server tells one client unasked: states and latest-only broadcasts, of which at most one per name waits for space, and other broadcasts, which
 * do not wait at all.
 */
export class PushWriter {
  private readonly host: PushWriterHost;
  /** Latest only: what has to be sent as soon as there is room. */
  private readonly dirty = new Map<string, { kind: number; message: SharedMessage }>();
  /** Messages in fragments that are on their way, by name. */
  private readonly writing = new Set<string>();
  private isWaiting = false;
  private nextId = 1;

  constructor(host: PushWriterHost) {
    this.host = host;
  }

  /** The latest value counts: what has not been sent yet is replaced. */
  pushState(name: string, message: SharedMessage): void {
    this.pushLatest(STATE, name, message);
  }

  /** False: dropped, because the client does not read fast enough, or does not know the name. */
  pushBroadcast(name: string, message: SharedMessage, policy: SlowClientPolicy): boolean {
    const target = this.host.targets.get(name);
    if (target === undefined) return false;
    if (policy === 'latest') {
      this.pushLatest(EVENT, name, message);
      return true;
    }
    if (!this.writing.has(name) && this.tryPush(EVENT, name, target, message)) {
      this.host.announce();
      return true;
    }
    if (policy === 'disconnect') {
      this.host.onFault(new PillionError('ERR_PILLION_SLOW_CLIENT', `the client did not read fast enough for broadcast "${name}"`));
    }
    return false;
  }

  private pushLatest(kind: number, name: string, message: SharedMessage): void {
    if (!this.host.targets.has(name)) return;
    this.dirty.set(name, { kind, message });
    this.flush();
  }

  private readonly flush = (): void => {
    let hasPushed = false;
    for (const [name, { kind, message }] of this.dirty) {
      if (this.writing.has(name)) continue;
      if (!this.tryPush(kind, name, this.host.targets.get(name) as PushTarget, message)) {
        this.waitForSpace();
        break;
      }
      this.dirty.delete(name);
      hasPushed = true;
    }
    if (hasPushed) this.host.announce();
  };

  private waitForSpace(): void {
    if (this.isWaiting) return;
    this.isWaiting = true;
    this.host.writer.whenFree(() => {
      this.isWaiting = false;
      this.flush();
    });
  }

  private tryPush(kind: number, name: string, { index, codec }: PushTarget, message: SharedMessage): boolean {
    const { writer, maxMessageBytes } = this.host;
    const bytes = message.bytesFor(codec);
    // The sender was told when it was encoded first; a client that allows less does without.
    if (bytes.length > maxMessageBytes) return true;
    const id = this.nextId;
    const tag = tagOf(kind, message.flags, index);
    if (bytes.length <= writer.maxRecordPayload) {
      if (writer.hasQueue || !writer.tryWrite(tag, id, 0, stable(bytes))) return false;
    } else {
      if (writer.hasQueue) return false;
      const isWritten = writer.write(tag, id, 0, stable(bytes), () => {
        this.writing.delete(name);
        if (this.dirty.has(name)) this.flush();
      });
      if (!isWritten) this.writing.add(name);
    }
    this.nextId = id === 0xffffffff ? 1 : id + 1;
    return true;
  }
}
