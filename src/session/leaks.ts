/** What to do, and to say, about something that was dropped in place of being given back. */
export interface Borrowed {
  /** For example: a claim of 5 bytes for "frame" was neither committed nor aborted. */
  describe(): string;
  /** Where it came from; null in production. */
  readonly stack: string | null;
  /** Takes it back. Must not lead to the object that is watched, or that would never be dropped. False: it had been given back. */
  takeBack(): boolean;
}

const registry = new FinalizationRegistry<Borrowed>((borrowed) => {
  if (borrowed.takeBack()) warn(borrowed);
});

/** Both are gone only together: a view without its claim, and a claim without its view, are still in somebody's hands. */
const keptAlive = new WeakMap<object, object[]>();

/** Watches `owner`, and keeps it as long as `view` is kept. */
export function watch(owner: object, view: object | null, borrowed: Borrowed): void {
  registry.register(owner, borrowed, owner);
  if (view === null) return;
  const owners = keptAlive.get(view);
  if (owners === undefined) keptAlive.set(view, [owner]);
  else owners.push(owner);
}

export function unwatch(owner: object): void {
  registry.unregister(owner);
}

/** Where the caller of `below` stands. */
export function placeOf(below: unknown): string | null {
  const place: { stack?: string } = {};
  Error.captureStackTrace(place, below as (...args: never[]) => unknown);
  return place.stack?.split('\n').slice(1).join('\n') ?? null;
}

/** A leak in a loop is one leak. */
const MAX_PLACES = 100;
const places = new Set<string>();

function warn(borrowed: Borrowed): void {
  const what = borrowed.describe();
  const place = borrowed.stack ?? what;
  if (places.has(place) || places.size >= MAX_PLACES) return;
  places.add(place);
  const where = borrowed.stack === null ? '' : `. It was made here:\n${borrowed.stack}`;
  process.emitWarning(`${what}${where}`, { type: 'PillionWarning', code: 'PILLION_LEAK' });
}
