import { spawnSync } from 'node:child_process';
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
