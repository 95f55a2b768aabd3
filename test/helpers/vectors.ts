import { readFileSync } from 'node:fs';
import type { MetricText } from '../../src/counters/layout.js';
import { packageFile } from './root.js';

/** The shapes of test/vectors/*.json, as far as the tests use them. */
export interface FrameVector {
  name: string;
  kindName: string;
  senders: ('client' | 'server')[];
  header: { payloadLength: number; kind: number; flags: number; target: number; correlation: number; aux: number };
  payload: string;
  recordBytes: number;
  record: string;
}

export interface FrameVectors {
  names: { name: string; kind: string; codec: string }[];
  frames: FrameVector[];
  messages: {
    name: string;
    kindName: string;
    sender: 'client' | 'server';
    ringCapacity: number;
    target: number;
    correlation: number;
    aux: number;
    flags: number;
    payload: string;
    records: FrameVector[];
  }[];
  headers: {
    good: { name: string; payload: string; headers: Record<string, string>; value: string }[];
    bad: { name: string; payload: string }[];
  };
  reject: {
    ringCapacity: number;
    records: { name: string; sender: 'client' | 'server'; record?: string; header?: string; recordBytes?: number }[];
  };
}

export interface HandshakeVectors {
  messages: {
    name: string;
    fields: { message: number; lowest: number; highest: number; bodyBytes: number };
    header: string;
    bodyHex: string;
    bytes: string;
    body: Record<string, unknown>;
  }[];
}

export interface SegmentVectors {
  controlWords: Record<string, string>;
  segments: {
    name: string;
    segmentBytes: number;
    headerBytes: number;
    rings: { dataOffset: number; capacity: number }[];
    arena: { offset: number; bytes: number } | null;
    words: Record<string, string>;
    page0: string;
  }[];
  rings: { name: string; capacity: number; head: number; tail: number; used: number; records: FrameVector[]; image: string }[];
}

export interface CounterVectors {
  memories: {
    name: string;
    bytes: number;
    used: number;
    metrics: MetricText[];
    series: { metric: string; kind: MetricText['kind']; labels: Record<string, string>; numbers: number[] }[];
    image: string;
    /** The bound of the last bucket is null here. */
    snapshot: Record<string, unknown>[];
  }[];
}

export function vectors<T>(name: 'frames' | 'handshake' | 'segment' | 'counters'): T {
  return JSON.parse(readFileSync(packageFile(`test/vectors/${name}.json`), 'utf8')) as T;
}

export function bytesOf(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}
