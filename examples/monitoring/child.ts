/** What a process of this example tells the one that started it. Without a parent that listens, nothing is sent. */
export type ChildMessage = { type: 'listening'; port: number } | { type: 'flushed'; accepted: number; dropped: number };

/** What the parent may ask for. */
export interface ParentMessage {
  type: 'flush';
}

/** A shutdown that takes longer than this counts as failed. */
const SHUTDOWN_LIMIT_MS = 5000;

export function tellParent(message: ChildMessage): void {
  if (process.connected) process.send?.(message);
}

export function onParentMessage(type: ParentMessage['type'], answer: () => Promise<void>): void {
  if (!process.connected) return;
  process.on('message', (message: ParentMessage) => {
    if (message.type === type) void answer();
  });
}

/**
 * Runs `close` on SIGTERM, on Ctrl-C and when the parent is gone, then lets the process end by itself: nothing may be
 * left that keeps it alive.
 */
export function onShutdown(close: () => Promise<unknown>): void {
  let isClosing = false;
  const shutDown = async () => {
    if (isClosing) return;
    isClosing = true;
    setTimeout(() => process.exit(1), SHUTDOWN_LIMIT_MS).unref();
    await close();
    if (process.connected) process.disconnect();
  };
  process.on('SIGTERM', shutDown);
  process.on('SIGINT', shutDown);
  process.once('disconnect', shutDown);
}
