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

/**
 * A value that goes to many clients, behind headers or not: encoded at once, and once more for each further codec that they speak. What becomes of the value afterwards changes nothing.
 */
export class SharedMessage {
  /** As the sidecar's own contract says. */
  readonly bytes: Uint8Array;
  /** Of its frames. */
  readonly flags: number;
  private readonly headers: Uint8Array | null;
  private readonly valueBytes: Uint8Array;
  private readonly codec: PayloadCodec;
  private readonly encoded = new Map<string, Uint8Array | null>();

  constructor(value: unknown, codec: PayloadCodec, headers: Uint8Array | null = null) {
    this.codec = codec;
    this.headers = headers;
    this.flags = headers === null ? 0 : META;
    this.valueBytes = encodedBytes(codec, value, null);
    this.bytes = headers === null ? this.valueBytes : behindHeaders(headers, stable(this.valueBytes)).bytes;
    this.encoded.set(codec.name, this.bytes);
  }

  /** Null: this codec cannot carry the value. */
  bytesFor(codec: PayloadCodec): Uint8Array | null {
    let bytes = this.encoded.get(codec.name);
    if (bytes === undefined) {
      bytes = this.transcode(codec);
      this.encoded.set(codec.name, bytes);
    }
    return bytes;
  }

  private transcode(codec: PayloadCodec): Uint8Array | null {
    try {
      return encodedBytes(codec, this.codec.decodeOwned(this.valueBytes), this.headers);
    } catch {
      // The client's choice of codec, and nobody else's loss.
      return null;
    }
  }
}

function encodedBytes(codec: PayloadCodec, value: unknown, headers: Uint8Array | null): Uint8Array {
  const payload = codec.encode(value);
  return headers === null ? privateCopy(payload.bytes, payload.start, payload.end) : behindHeaders(headers, payload).bytes;
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
  /** A broadcast of which only the latest counts has been replaced before it was sent. */
  onReplaced(): void;
  /** The session cannot go on. */
  onFault(error: unknown): void;
}

/** What became of a broadcast: accepted, too much for a client that does not read fast enough, or nothing that this client knows of. */
export type PushOutcome = 'sent' | 'dropped' | 'unknown';

/** Messages in fragments beyond which no broadcast joins the queue. */
const MAX_LARGE = 2;

/**
 * What the server tells one client unasked: states and latest-only broadcasts, of which at most one per name waits for space, and other broadcasts, which
 * do not wait at all.
 */
export class PushWriter {
  private readonly host: PushWriterHost;
  /** Latest only: what has to be sent as soon as there is room; `type` is kind and flags as in a tag. */
  private readonly dirty = new Map<string, { type: number; bytes: Uint8Array }>();
  /** Messages in fragments that are on their way, by name. */
  private readonly writing = new Set<string>();
  private isWaiting = false;
  private isClosed = false;
  private nextId = 1;

  constructor(host: PushWriterHost) {
    this.host = host;
  }

  /** The latest value counts: what has not been sent yet is replaced. */
  pushState(name: string, message: SharedMessage): void {
    const bytes = this.bytesFor(name, message);
    if (bytes !== null) this.pushLatest(tagOf(STATE, 0, 0), name, bytes);
  }

  pushBroadcast(name: string, message: SharedMessage, policy: SlowClientPolicy): PushOutcome {
    const bytes = this.bytesFor(name, message);
    if (bytes === null) return 'unknown';
    if (policy === 'latest') {
      if (this.dirty.has(name)) this.host.onReplaced();
      this.pushLatest(tagOf(EVENT, message.flags, 0), name, bytes);
      return 'sent';
    }
    if (!this.writing.has(name) && this.tryPush(tagOf(EVENT, message.flags, 0), name, bytes)) return 'sent';
    if (policy === 'disconnect' && !this.isClosed) {
      this.host.onFault(new PillionError('ERR_PILLION_SLOW_CLIENT', `the client did not read fast enough for broadcast "${name}"`));
    }
    return 'dropped';
  }

  /** Nothing more is sent: GOODBYE was, or the connection is gone. */
  close(): void {
    this.isClosed = true;
    this.dirty.clear();
  }

  /** Null: the client does not know the name, or its codec cannot carry the value, or needs more bytes than are allowed. */
  private bytesFor(name: string, message: SharedMessage): Uint8Array | null {
    const target = this.host.targets.get(name);
    if (target === undefined) return null;
    const bytes = message.bytesFor(target.codec);
    return bytes === null || bytes.length > this.host.maxMessageBytes ? null : bytes;
  }

  private pushLatest(type: number, name: string, bytes: Uint8Array): void {
    if (this.isClosed) return;
    this.dirty.set(name, { type, bytes });
    this.flush();
  }

  private readonly flush = (): void => {
    for (const [name, { type, bytes }] of this.dirty) {
      if (this.writing.has(name)) continue;
      if (!this.tryPush(type, name, bytes)) {
        this.waitForSpace();
        return;
      }
      this.dirty.delete(name);
    }
  };

  private waitForSpace(): void {
    if (this.isWaiting || this.isClosed) return;
    this.isWaiting = true;
    this.host.writer.whenFree(() => {
      this.isWaiting = false;
      this.flush();
    });
  }

  private tryPush(type: number, name: string, bytes: Uint8Array): boolean {
    if (this.isClosed) return false;
    try {
      return this.push(type, name, bytes);
    } catch (error) {
      // A client whose positions cannot be is no fault of who tells it something.
      this.host.onFault(error);
      return false;
    }
  }

  private push(type: number, name: string, bytes: Uint8Array): boolean {
    const { writer, targets } = this.host;
    const tag = type | ((targets.get(name) as PushTarget).index << 16);
    const id = this.nextId;
    if (writer.hasSmallQueue) return false;
    if (bytes.length <= writer.maxRecordPayload) {
      if (!writer.tryWrite(tag, id, 0, stable(bytes))) return false;
      this.host.announce();
    } else {
      if (writer.largeCount >= MAX_LARGE) return false;
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
