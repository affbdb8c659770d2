import { posix } from 'node:path';
import { isShipped } from './rooms.mjs';

/** Names that may occur more than once, with the reason. */
const exempt = {
  'index.ts': 'an entry of the package or of the worker: what the file is, is what its folder is',
};

/**
 * A name that occurs twice makes every search, stack trace and editor tab a guess: it should say its room or family.
 *
 * @param {readonly import('./sources.mjs').Source[]} sources
 * @returns {string[]} one line for each name that several shipped files have
 */
export function repeatedNames(sources) {
  /** @type {Map<string, string[]>} */
  const byName = new Map();
  for (const { path } of sources.filter((source) => isShipped(source.path))) {
    const name = posix.basename(path);
    byName.set(name, [...(byName.get(name) ?? []), path]);
  }
  return [...byName]
    .filter(([name, paths]) => paths.length > 1 && !(name in exempt))
    .map(([name, paths]) => `${name} is the name of ${paths.join(' and ')}: let each say its room`);
}
