export type { Peer } from './channel/peer.js';
export { type CallOptions, Client, type ClientEvents, type ClientStatus, type ConnectOptions, connect } from './client.js';
export {
  type Contract,
  contract,
  type Definitions,
  type EventDefinition,
  type EventNames,
  type EventOptions,
  event,
  type MethodDefinition,
  type MethodNames,
  type MethodOptions,
  method,
  type PayloadOf,
  type RequestOf,
  type ResponseOf,
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
export { PillionError, type PillionErrorCode, ProtocolError, RemoteError } from './errors.js';
export type { WaitPreset } from './options.js';
export type { Codec, CodecName } from './protocol/codec.js';
export type { ServeOptions } from './serve-options.js';
export { type Handlers, Server, type ServerEvents, serve } from './server.js';
export type { HandlerContext } from './session/handler-context.js';
export type { ClientStats, ServerStats } from './stats.js';
