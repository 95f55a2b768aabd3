import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Adds to package-lock.json the optional packages of other platforms that npm left out, because the registry it was written with does not
 * have them all. Without them `npm ci` refuses the lockfile, on every machine. Run it after `npm install` has changed the lockfile.
 *
 * Their names say which platform they are for; their hashes are unknown, so npm trusts the registry for these.
 */
const file = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const lock = JSON.parse(readFileSync(file, 'utf8'));
const missing = missingPackages(lock.packages);
for (const { name, version, dev } of missing) lock.packages[`node_modules/${name}`] = entryFor(name, version, dev);
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
writeFileSync(`${file}.new`, `${JSON.stringify(lock, null, 2)}\n`);
renameSync(`${file}.new`, file);
for (const { name, version } of missing) process.stdout.write(`added ${name}@${version}\n`);
process.stdout.write(`${missing.length} packages were missing\n`);

function missingPackages(packages) {
  return Object.entries(packages).flatMap(([place, { optionalDependencies = {}, dev }]) =>
    Object.entries(optionalDependencies)
      .filter(([name]) => packages[`${place}/node_modules/${name}`] === undefined && packages[`node_modules/${name}`] === undefined)
      .map(([name, version]) => ({ name, version, dev })),
  );
}

function entryFor(name, version, dev) {
  if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`${name} is wanted as "${version}": only an exact version can be locked`);
  const words = name.split('/').at(-1).split('-');
  const pick = (known) => words.filter((word) => known.includes(word)).slice(-1);
  const os = pick(['android', 'darwin', 'freebsd', 'linux', 'win32']);
  const cpu = pick(['arm', 'arm64', 'ia32', 'ppc64', 's390x', 'wasm32', 'x64']);
  if (cpu.length === 0 || (os.length === 0 && cpu[0] !== 'wasm32')) throw new Error(`${name} does not say which platform it is for`);
  const libc = pick(['musl']).length > 0 ? ['musl'] : pick(['gnu', 'gnueabihf']).length > 0 ? ['glibc'] : [];
  return {
    version,
    cpu,
    ...(dev && { dev }),
    ...(libc.length > 0 && { libc }),
    optional: true,
    ...(os.length > 0 && { os }),
  };
}
