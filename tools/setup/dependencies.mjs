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

/** Whether node_modules matches the lock file. Optional packages, for other platforms, may be missing. */
function upToDate() {
  /** @type {LockedPackages} */
  let installed;
  try {
    installed = packagesIn('node_modules/.package-lock.json');
  } catch {
    return false;
  }
  return Object.entries(packagesIn('package-lock.json')).every(([path, { version, optional }]) => {
    const found = installed[path];
    return path === '' || (found === undefined ? optional === true : found.version === version);
  });
}

/** @returns {import('./step.d.ts').Step | undefined} */
export function missingDependencies() {
  if (upToDate()) return undefined;
  return {
    announcement: 'npm ci: installs the packages of package-lock.json into node_modules (about 1 GB)',
    advice: 'Run `npm ci --ignore-scripts`.',
    // No warnings: some client libraries want Node 22, but we run them in browsers only.
    run: () => succeeds('npm', ['ci', '--ignore-scripts', '--no-fund', '--no-audit', '--loglevel=error']),
  };
}
