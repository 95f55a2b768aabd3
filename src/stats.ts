/** What a client has done so far. All counts start at 0 with `connect` and survive reconnects. */
export interface ClientStats {
  /** Events accepted by `send`. */
  eventsSent: number;
  /** Events refused because the ring was full or the client closed: `send` returned false. */
  eventsDropped: number;
  /** Events handed to a further sidecar because the last one had not released them. */
  eventsReplayed: number;
  /** Calls begun, and how they ended. */
  callsSent: number;
  callsSucceeded: number;
  callsFailed: number;
  /** Calls in flight now. */
  callsPending: number;
  /** Streams, uploads and duplex streams open now. */
  streamsOpen: number;
  /** Broadcasts that somebody here listens to, and those among them that a listener or the codec could not handle. */
  broadcastsReceived: number;
  broadcastsFailed: number;
  /** Values of states that have arrived. */
  statesReceived: number;
  /** Connections made, i.e. 1 + reconnects. */
  connections: number;
  /** System calls made to wake the sidecar (over a socket: writes). */
  doorbells: number;
  /** Bytes in the ring that the sidecar has not released. */
  bufferedBytes: number;
  /** Size of the ring that they are in. */
  ringBytes: number;
  /** Claims neither committed nor aborted; and those of them that were dropped, and found by the garbage collector. */
  claimsOpen: number;
  claimsLeaked: number;
  /** Bytes of the arena that open claims and events which the sidecar has not released take; and its size. */
  arenaUsedBytes: number;
  arenaBytes: number;
}

/** What a server has done so far. */
export interface ServerStats {
  connections: number;
  /** Connections open now. */
  clients: number;
  /** Connections refused, or ended for breaking the protocol or for not reading broadcasts that must not be missed. */
  clientsRefused: number;
  eventsHandled: number;
  /** Events among them that came from a ring which an earlier server had not released. */
  eventsRedelivered: number;
  /** Events without a handler here: an unknown name or codec. */
  eventsUnknown: number;
  callsHandled: number;
  /** Calls and streams that wait now until fewer are at work. */
  callsWaiting: number;
  /** Streams, uploads and duplex streams begun, and those open now. */
  streamsHandled: number;
  streamsOpen: number;
  /** Broadcasts accepted for a client, and those that it does not get because it did not read fast enough, replaced ones included; each client counts. */
  broadcastsSent: number;
  broadcastsDropped: number;
  /** Clients whose counters are not read any more because their memory broke the protocol. */
  countersBroken: number;
  /** Bytes of answers, items, states and broadcasts that wait now because their clients have not read what came before. */
  queuedBytes: number;
  /** Handlers that threw or rejected, of events, calls and streams. */
  handlerErrors: number;
  /** Events that were retained, and dropped without being released. */
  viewsLeaked: number;
  doorbells: number;
}

export function newClientCounters(): Omit<
  ClientStats,
  | 'callsPending'
  | 'streamsOpen'
  | 'broadcastsReceived'
  | 'broadcastsFailed'
  | 'statesReceived'
  | 'bufferedBytes'
  | 'ringBytes'
  | 'claimsOpen'
  | 'claimsLeaked'
  | 'arenaUsedBytes'
  | 'arenaBytes'
> {
  return {
    eventsSent: 0,
    eventsDropped: 0,
    eventsReplayed: 0,
    callsSent: 0,
    callsSucceeded: 0,
    callsFailed: 0,
    connections: 0,
    doorbells: 0,
  };
}

export function newServerCounters(): Omit<ServerStats, 'clients' | 'queuedBytes' | 'callsWaiting' | 'streamsOpen'> {
  return {
    connections: 0,
    clientsRefused: 0,
    eventsHandled: 0,
    eventsRedelivered: 0,
    eventsUnknown: 0,
    callsHandled: 0,
    streamsHandled: 0,
    broadcastsSent: 0,
    broadcastsDropped: 0,
    countersBroken: 0,
    handlerErrors: 0,
    viewsLeaked: 0,
    doorbells: 0,
  };
}
