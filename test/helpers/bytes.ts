import { createHash } from 'node:crypto';

/** Bytes that differ from their neighbours and from place to place, so that a shifted or torn copy shows. */
export function pattern(length: number, salt = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 17 + salt * 101) & 0xff;
  return bytes;
}

/** Tells contents apart in a few characters. */
export function digest(bytes: Uint8Array): string {
  return `${bytes.length}:${createHash('sha1').update(bytes).digest('hex').slice(0, 16)}`;
}
