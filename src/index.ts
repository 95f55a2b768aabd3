export type { Peer } from './channel/peer.js';
export { type CallOptions, Client, type ClientEvents, type ClientStatus, type ConnectOptions, connect } from './client.js';
export {
  type ClaimNames,
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
  type RawEventDefinition,
  type RawEventOptions,
  type RequestOf,
  type ResponseOf,
} from './contract.js';
export { PillionError, type PillionErrorCode, ProtocolError, RemoteError } from './errors.js';
export type { WaitPreset } from './options.js';
export type { Codec, CodecName } from './protocol/codec.js';
export type { ServeOptions } from './serve-options.js';
export { type Handlers, Server, type ServerEvents, serve } from './server.js';
export type { EventContext } from './session/borrow.js';
export type { Claim } from './session/claims.js';
export type { HandlerContext } from './session/handler-context.js';
export type { ClientStats, ServerStats } from './stats.js';
