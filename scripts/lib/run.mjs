import { spawn } from 'node:child_process';

/**
 * Runs a program to its end and gives what it printed. The error of a failed one carries all of that: a build step that fails in CI must
 * say why without a second try.
 */
export function run(command, args, { cwd, env = process.env, timeoutMs = 300_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs, killSignal: 'SIGKILL' });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) return resolve({ stdout, stderr });
      const line = [command, ...args].join(' ');
      reject(new Error(`${line} ended with ${signal ?? `exit code ${code}`}\n${stdout}${stderr}`.trimEnd()));
    });
  });
}
