import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { execPath, stderr } from 'node:process';

/** The sources of the built package. */
const sources = [
  'src',
  'worker',
  'models',
  'proxy',
  'tools/build',
  'tools/build.mjs',
  'tsconfig.types.json',
  'package-lock.json',
];

/**
 * @param {string} path of a file or a folder
 * @returns {number} milliseconds since 1970; for a folder, the latest change of anything in it
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
 * Installs the dependencies if they are missing, and builds the package if it is missing or older than its sources. Their
 * output goes to standard error, because standard output is for the command's result.
 *
 * @param {readonly string[]} setupOptions of tools/setup.mjs
 * @throws if a step fails, after that step has printed the reason
 */
export function prepare(setupOptions = ['--packages-only']) {
  /** @param {readonly string[]} args */
  const run = (args) => spawnSync(execPath, args, { stdio: ['ignore', stderr.fd, stderr.fd] }).status === 0;
  if (!run(['tools/setup.mjs', ...setupOptions])) throw new Error('Installing what this needs failed.');
  if (isBuilt()) return;
  console.error('build: dist is missing or older than its sources');
  if (!run(['tools/build.mjs'])) throw new Error('Building the package failed.');
}
