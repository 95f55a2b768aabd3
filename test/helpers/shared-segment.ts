import { type NativeAddon, type NativeSegment, type NativeSocket, native } from '../../src/native.js';

/** The addon, for tests that are about it. */
export function theAddon(): NativeAddon {
  const { addon } = native();
  if (addon === null) throw new Error('this test needs the native addon');
  return addon;
}

/** Hands a segment to the first process that asks for it at this path. Resolves when it has left. */
export async function giveSegment(path: string, segment: NativeSegment): Promise<void> {
  const listener = theAddon().UnixSocket.listen(path);
  const peer = await new Promise<NativeSocket>((resolve) => {
    listener.watch(() => {
      const accepted = listener.accept();
      if (accepted !== null && typeof accepted !== 'number') resolve(accepted);
    });
  });
  peer.send(new Uint8Array([1]), 0, 1, segment.descriptor);
  peer.close();
  listener.close();
}

/** The other process's side. */
export async function takeSegment(path: string): Promise<NativeSegment> {
  const addon = theAddon();
  const socket = addon.UnixSocket.connect(path);
  await new Promise<void>((resolve) => {
    socket.watch(() => {
      if (socket.receive(new Uint8Array(1), 0, 1) > 0) resolve();
    });
  });
  const [descriptor] = socket.takeDescriptors() ?? [];
  socket.close();
  return addon.Segment.map(descriptor as number, 2 ** 30);
}
