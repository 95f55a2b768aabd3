import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const help = `Usage: npm run pack:native -- [options]

Makes the npm package with the binary for this platform out of what "npm run build" built.

  --binary FILE       the addon (build/Release/pillion.node)
  --artifacts DIR     where binaries are staged under their published names (artifacts)
  --out DIR           where the package is made (npm)
  --tarballs DIR      instead of a package, make the tarballs of a release in DIR: this platform's and the main one
  --help              show this text
`;

const root = fileURLToPath(new URL('..', import.meta.url));
const log = (line) => process.stdout.write(`${line}\n`);

try {
  const { values } = parseArgs({
    options: {
      binary: { type: 'string', default: resolve(root, 'build/Release/pillion.node') },
      artifacts: { type: 'string', default: resolve(root, 'artifacts') },
      out: { type: 'string', default: resolve(root, 'npm') },
      tarballs: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) process.stdout.write(help);
  else await main(values);
} catch (error) {
  process.stderr.write(`pack:native: ${error.message}\n`);
  process.exitCode = 1;
}

async function main({ binary, artifacts, out, tarballs }) {
  if (!existsSync(resolve(root, 'dist/src/native.js'))) throw new Error('dist/src is not there: build it with "npm run build:ts"');
  if (tarballs !== undefined) {
    const { makeReleaseTarballs } = await import('./lib/release-tarballs.mjs');
    await makeReleaseTarballs({ root, binary: resolve(binary), destination: resolve(tarballs), log });
    return;
  }
  const { makeNativePackages } = await import('./lib/native-package.mjs');
  await makeNativePackages({
    root,
    binary: resolve(binary),
    artifactsDirectory: resolve(artifacts),
    npmDirectory: resolve(out),
    log,
  });
}
