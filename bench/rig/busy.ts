/** How long the event loop is occupied at a time. */
const blockMs = 1;

/** Keeps this process's event loop busy with something else for a share of the time, as an app at work does. Returns how to stop it. */
export function occupyLoop(share: number): () => void {
  if (share === 0) return () => {};
  const restMs = Math.max(1, Math.round((blockMs * (1 - share)) / share));
  const timer = setInterval(() => {
    const end = performance.now() + blockMs;
    while (performance.now() < end);
  }, blockMs + restMs);
  return () => clearInterval(timer);
}
