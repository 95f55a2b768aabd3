import type { OverheadVariant } from '../result.js';
import type { Duties, LogEntry, Sample } from './duties.js';

/** The duties as the app's request handler sees them. */
export interface Access {
  verify(token: string): Promise<string> | string;
  log(entry: LogEntry): void;
  measure(sample: Sample): void;
  /** Resolves when nothing that was handed over is under way any more. */
  flush(): Promise<void>;
  /** That this side wrote to sockets, where the sidecar cannot know. */
  sentBytes(): number;
}

/** The duties behind a door of their own. */
export interface Served {
  address: string;
  /** That crossed sockets between app and sidecar, as far as this side knows. */
  socketBytes(): number;
}

export type SidecarVariant = Exclude<OverheadVariant, 'embedded'>;

interface Door {
  serve(duties: Duties, directory: string): Promise<Served>;
  open(address: string): Promise<Access>;
}

/** Loaded by name, so that neither process holds the code of the other variant. */
export async function loadDoor(variant: SidecarVariant): Promise<Door> {
  return variant === 'http' ? await import('./over-http.js') : await import('./over-pillion.js');
}
