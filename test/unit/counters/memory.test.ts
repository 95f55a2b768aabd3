import { execFile } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import test from 'ava';
import { resources } from '../../helpers/resources.js';
import { theAddon } from '../../helpers/shared-segment.js';
import { socketPath } from '../../helpers/socket-path.js';

const { CounterMemory, Segment } = theAddon();

/** A second descriptor of the same memory; `map` takes its own away. */
function reopen(descriptor: number): number {
  return openSync(`/proc/self/fd/${descriptor}`, 'r+');
}

test.serial('two mappings are one memory, which is zero at first', (t) => {
  const created = CounterMemory.create(8192);
  const mapped = CounterMemory.map(reopen(created.descriptor), 8192);
  t.is(mapped.descriptor, -1);
  const [here, there] = [new Float64Array(created.buffer), new Float64Array(mapped.buffer)];
  t.is(there.length, 1024);
  t.true(there.every((cell) => cell === 0));
  here[1023] = 0.1;
  t.is(there[1023], 0.1);
  created.close();
  t.is(there[1023], 0.1);
  mapped.close();
});

test.serial('whoever has the descriptor can neither write, resize nor punch holes', async (t) => {
  const memory = CounterMemory.create(4096);
  const descriptor = reopen(memory.descriptor);
  t.throws(() => writeSync(descriptor, 'x'), { code: 'EPERM' });
  for (const length of [0, 8192]) t.throws(() => ftruncateSync(descriptor, length), { code: 'EPERM' });
  closeSync(descriptor);
  // What Node cannot do: map it for writing, make a mapping writable, punch a hole.
  const script = `
import ctypes, fcntl, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
try:
    mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    print("mapped for writing")
except PermissionError:
    pass
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
at = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
if libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(4096), mmap.PROT_READ | mmap.PROT_WRITE) == 0:
    print("made writable")
if libc.fallocate(fd, 3, ctypes.c_long(0), ctypes.c_long(4096)) == 0:
    print("punched")
print("done")
`;
  const { stdout } = await promisify(execFile)('python3', ['-c', script, `/proc/${process.pid}/fd/${memory.descriptor}`]);
  t.is(stdout, 'done\n');
  memory.close();
});

test.serial('what is no memory of counters is refused, and its descriptor closed', (t) => {
  const before = resources();
  const path = socketPath('file');
  const file = openSync(path, 'w+');
  ftruncateSync(file, 4096);
  t.throws(() => CounterMemory.map(file, 4096), { message: /not a memfd/ });
  t.throws(() => CounterMemory.map(openSync('/dev/zero', 'r+'), 4096), { message: /regular file/ });
  t.throws(() => CounterMemory.map(openSync('/', 'r'), 4096), { message: /regular file/ });
  t.throws(() => CounterMemory.map(-1, 4096), { message: /regular file/ });
  const segment = Segment.create(4096, 4096);
  t.throws(() => CounterMemory.map(reopen(segment.descriptor), 12_288), { message: /further writers/ });
  segment.close();
  const memory = CounterMemory.create(8192);
  for (const bytes of [4096, 12_288, 0, 0xffffffff])
    t.throws(() => CounterMemory.map(reopen(memory.descriptor), bytes), { message: /size/ });
  memory.close();
  t.deepEqual(resources(), before);
});

test.serial('a segment cannot be had from the memory of counters', (t) => {
  const memory = CounterMemory.create(12_288);
  t.throws(() => Segment.map(reopen(memory.descriptor), 4096), { message: /sealed against writing/ });
  memory.close();
});

test.serial('closing detaches the buffer, gives everything back, and may be repeated', (t) => {
  const before = resources();
  const memory = CounterMemory.create(4096);
  const { buffer } = memory;
  t.is(resources().memfds, before.memfds + 1);
  memory.close();
  memory.close();
  t.is(buffer.byteLength, 0);
  t.deepEqual(resources(), before);
});
