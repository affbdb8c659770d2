import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { execPath, stderr } from 'node:process';

/** What the built package is made of. */
const sources = ['src', 'worker', 'models', 'proxy', 'vite.config.ts', 'tsconfig.types.json', 'package-lock.json'];

/**
 * @param {string} path of a file or a folder
 * @returns {number} milliseconds since 1970; for a folder, of what was changed in it last
 */
function changedAt(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => changedAt(join(path, name))));
}

function isBuilt() {
  const built = 'dist/index.js';
  return existsSync(built) && sources.every((path) => changedAt(path) <= changedAt(built));
}

/**
 * Installs the packages if they are missing, and builds ours if it is missing or older than its sources. What these
 * steps say goes to standard error, because a command's standard output belongs to its answer.
 *
 * @param {readonly string[]} setupOptions
 * @throws if a step fails; it has said why
 */
export function prepare(setupOptions = []) {
  /** @param {readonly string[]} args */
  const run = (args) => spawnSync(execPath, args, { stdio: ['ignore', stderr.fd, stderr.fd] }).status === 0;
  if (!run(['tools/setup.mjs', '--packages-only', ...setupOptions])) throw new Error('The packages are not installed.');
  if (isBuilt()) return;
  console.error('build: the package is missing or older than its sources');
  if (!run(['tools/build.mjs'])) throw new Error('The package could not be built.');
}
