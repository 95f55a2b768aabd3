import { fileURLToPath } from 'node:url';

/** The package's directory, seen from dist/test/helpers. */
const root = new URL('../../../', import.meta.url);

/** A file of the package, as a path. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(path, root));
}
