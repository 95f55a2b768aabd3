/** What stands in for the bytes of a view that was given back, for whoever still reaches them. */
const POISON = 0xde;

/** Unless the user says otherwise, views are checked wherever this is not production. */
export function defaultChecksViews(): boolean {
  return process.env['NODE_ENV'] !== 'production';
}

/**
 * Makes a view with a buffer of its own unusable: it has length 0 then. All views of one mapping share a buffer, so this works for private copies only, which is
 * what is handed out where views are checked.
 */
export function invalidate(view: Uint8Array): void {
  if (view.length === 0) return;
  view.fill(POISON);
  try {
    structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  } catch {
    // The user made it untransferable: the poison has to do.
  }
}
