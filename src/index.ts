export type { Peer } from './channel/peer.js';
export {
  type CallOptions,
  Client,
  type ClientEvents,
  type ClientStatus,
  connect,
  type DuplexCallOptions,
  type MessageOptions,
  type StreamCallOptions,
  type TimeoutOptions,
} from './client.js';
export type { ConnectOptions } from './connect-options.js';
export {
  type BroadcastDefinition,
  type BroadcastOptions,
  broadcast,
  type ClaimNames,
  type Contract,
  contract,
  type Definitions,
  type DuplexDefinition,
  duplex,
  type EventDefinition,
  type EventNames,
  type EventOptions,
  event,
  type InputOf,
  type MethodDefinition,
  type MethodNames,
  type MethodOptions,
  method,
  type NamesOf,
  type OutputOf,
  type PayloadOf,
  type RawEventDefinition,
  type RawEventOptions,
  type RequestOf,
  type ResponseOf,
  type SentInputOf,
  type SentOutputOf,
  type SentPayloadOf,
  type SentRequestOf,
  type SentResponseOf,
  type SentValueOf,
  type SlowClientPolicy,
  type StateDefinition,
  type StateOptions,
  type StreamDefinition,
  type StreamOptions,
  state,
  stream,
  type UploadDefinition,
  upload,
  type ValueOf,
} from './contract.js';
export {
  type CounterDefinition,
  counter,
  type GaugeDefinition,
  gauge,
  type HistogramDefinition,
  type HistogramOptions,
  histogram,
  type LabelNames,
  type LabelValues,
  type MetricNames,
  type MetricOptions,
} from './counters/definitions.js';
export type { Counter, Gauge, Histogram } from './counters/handles.js';
export { type ClientCounters, type HistogramSnapshot, type MetricSnapshot, sumCounters, type ValueSnapshot } from './counters/snapshot.js';
export type { CounterStatus } from './counters/table.js';
export type { CallMessage, ConnectionMessage, HandleMessage, SendMessage } from './diagnostics.js';
export { duplexHandler } from './duplex-handler.js';
export { PillionError, type PillionErrorCode, ProtocolError, RemoteError } from './errors.js';
export type {
  ClientMiddleware,
  ClientMiddlewareContext,
  MessageKind,
  Middleware,
  MiddlewareContext,
  ServerMiddleware,
  ServerMiddlewareContext,
} from './middleware.js';
export type { WaitPreset } from './options.js';
export type { Codec, CodecName } from './protocol/codec.js';
export type { MessageHeaders } from './protocol/headers.js';
export type { ServeOptions } from './serve-options.js';
export {
  type Audience,
  type BroadcastSendOptions,
  type ConnectedClient,
  type Handlers,
  Server,
  type ServerEvents,
  serve,
} from './server.js';
export type { ServerState } from './server-state.js';
export type { EventContext } from './session/borrow.js';
export type { Claim } from './session/claims.js';
export type { BroadcastInfo, ClientState, StateEvents } from './session/client-pushes.js';
export type { DuplexEnd } from './session/duplex-end.js';
export type { HandlerContext } from './session/handler-context.js';
export type { ItemReceiver } from './session/item-receiver.js';
export type { ClientStats, ServerStats } from './stats.js';
export type { DuplexSocket, DuplexSocketOptions } from './streams/duplex.js';
export type { UploadWritable } from './streams/upload-writable.js';
export type { StandardSchema } from './validation.js';
