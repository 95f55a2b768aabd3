/**
 * Cuts a byte stream into messages of one length. A chunk that holds a whole message costs no copy; the parts of another are collected in
 * one of two buffers in turn, so that a message which was just delivered stays intact while the next one begins to arrive.
 */
export function assemble(length: number, deliver: (message: Uint8Array) => void): (chunk: Uint8Array) => void {
  let partial: Buffer = Buffer.allocUnsafeSlow(length);
  let other: Buffer | undefined;
  let filled = 0;
  return (chunk) => {
    let rest = chunk;
    while (rest.length > 0) {
      const part = rest.subarray(0, length - filled);
      rest = rest.subarray(part.length);
      if (part.length === length) {
        deliver(part);
        continue;
      }
      partial.set(part, filled);
      filled += part.length;
      if (filled < length) continue;
      filled = 0;
      deliver(partial);
      [partial, other] = [other ?? Buffer.allocUnsafeSlow(length), partial];
    }
  };
}
