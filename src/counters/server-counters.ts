import type { Peer } from '../channel/peer.js';
import { messageOf } from '../errors.js';
import type { NativeCounterMemory } from '../native.js';
import { CounterReader } from './reader.js';
import type { ClientCounters, MetricSnapshot } from './snapshot.js';

interface Client {
  readonly clientId: string;
  readonly peer: Peer;
}

/** One connected client's counters at the server. Memory that breaks the rules costs the client its counters, not the connection. */
export class OpenCounters {
  private readonly client: Client;
  private readonly onBroken: (error: unknown) => void;
  private reader: CounterReader | null = null;
  private reason: string | undefined;

  constructor(client: Client, memory: NativeCounterMemory | null, reason: string | undefined, onBroken: (error: unknown) => void) {
    this.client = client;
    this.reason = reason;
    this.onBroken = onBroken;
    if (memory === null) {
      this.reason ??= 'the app has no counters';
      return;
    }
    try {
      this.reader = new CounterReader(memory);
    } catch (error) {
      memory.close();
      this.giveUp(error);
    }
  }

  read(isConnected = true): ClientCounters {
    const metrics = this.readMetrics();
    const { clientId, peer } = this.client;
    return { clientId, peer, isConnected, available: this.reader !== null, reason: this.reason, metrics };
  }

  private readMetrics(): MetricSnapshot[] {
    try {
      return this.reader?.snapshot() ?? [];
    } catch (error) {
      this.giveUp(error);
      return [];
    }
  }

  private giveUp(error: unknown): void {
    this.reader?.close();
    this.reader = null;
    this.reason = messageOf(error);
    this.onBroken(error);
  }

  /** The last values. The client's memory is still what it was when its process ended. */
  close(): ClientCounters {
    const last = this.read(false);
    this.reader?.close();
    this.reader = null;
    return last;
  }
}

/** The counters of all clients that are connected to a server. */
export class ServerCounters {
  private readonly clients = new Set<OpenCounters>();
  private readonly onBroken: (error: unknown) => void;

  constructor(onBroken: (error: unknown) => void) {
    this.onBroken = onBroken;
  }

  open(client: Client, memory: NativeCounterMemory | null, reason: string | undefined): OpenCounters {
    const counters = new OpenCounters(client, memory, reason, this.onBroken);
    this.clients.add(counters);
    return counters;
  }

  close(counters: OpenCounters): ClientCounters {
    this.clients.delete(counters);
    return counters.close();
  }

  read(): ClientCounters[] {
    return [...this.clients].map((counters) => counters.read());
  }
}
