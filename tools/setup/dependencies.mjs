import { readFileSync } from 'node:fs';
import { succeeds } from './command.mjs';

/** @typedef {Record<string, { version?: string, optional?: boolean }>} LockedPackages */

/**
 * @param {string} file
 * @returns {LockedPackages}
 */
function packagesIn(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages;
}

/** Whether node_modules holds what the lock file names. Packages for other platforms are optional, so may lack. */
function upToDate() {
  /** @type {LockedPackages} */
  let installed;
  try {
    installed = packagesIn('node_modules/.package-lock.json');
  } catch {
    return false;
  }
  return Object.entries(packagesIn('package-lock.json')).every(([path, { version, optional }]) => {
    const here = installed[path];
    return path === '' || (here === undefined ? optional === true : here.version === version);
  });
}

/** @returns {import('./step.d.ts').Step | undefined} */
export function missingDependencies() {
  if (upToDate()) return undefined;
  return {
    announcement: 'npm ci: installs the packages of package-lock.json into node_modules (about 1 GB)',
    advice: 'Run `npm ci --ignore-scripts`.',
    // Without warnings: some clients ask for Node 22, and run in browsers only.
    run: () => succeeds('npm', ['ci', '--ignore-scripts', '--no-fund', '--no-audit', '--loglevel=error']),
  };
}
