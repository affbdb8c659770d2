import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';

/**
 * Runs a command and waits for it. Its output goes to ours.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {Record<string, string>} [env] in addition to ours
 * @returns {boolean} whether it exited with 0
 */
export function succeeds(command, args, env = {}) {
  const { status } = spawnSync(command, args, {
    stdio: 'inherit',
    env: { ...process.env, ...env },
    // On Windows, npm's commands are batch files.
    shell: process.platform === 'win32',
  });
  return status === 0;
}

/**
 * As {@link succeeds}, while other commands run: its output is passed on piece by piece.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {Record<string, string>} [env] in addition to ours
 * @returns {Promise<boolean>} whether it exited with 0
 */
export function succeedsBeside(command, args, env = {}) {
  const color = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {};
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...color, ...env } });
  child.stdout.on('data', (chunk) => process.stdout.write(chunk));
  child.stderr.on('data', (chunk) => process.stderr.write(chunk));
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(error);
      resolve(false);
    });
    child.on('close', (code) => resolve(code === 0));
  });
}

/**
 * Runs a command of an installed package.
 *
 * @param {string} name
 * @param {...string} args
 * @returns {boolean} whether it exited with 0
 */
export function tool(name, ...args) {
  return succeeds(join('node_modules', '.bin', name), args);
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @returns {string} its standard output
 */
export function outputOf(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')} failed: ${error?.message ?? stderr}`);
}
