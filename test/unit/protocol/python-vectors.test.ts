import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import test from 'ava';
import { packageFile } from '../../helpers/root.js';

/** The implementation in Python reads the same vectors, and tells whether they are what their generator writes. */
test('an implementation that shares no code agrees with the vectors', async (t) => {
  const script = packageFile('test/fixtures/python/test_vectors.py');
  await t.notThrowsAsync(promisify(execFile)('python3', ['-B', script], { timeout: 60_000 }));
});
