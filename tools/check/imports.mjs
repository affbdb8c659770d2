import { existsSync } from 'node:fs';
import { isShipped, leaves, roomOf, rooms, workerURL } from './rooms.mjs';
import { importsOf } from './sources.mjs';

/** @typedef {import('./sources.mjs').Source} Source */
/** @typedef {import('./sources.mjs').Import} Import */

const types = 'types of ';

/**
 * @param {string} entry of a row of the table, without `types of`
 * @param {Import} found
 * @returns {boolean} whether the entry means what was found
 */
function covers(entry, { target, file }) {
  if (file) return entry === target || entry === roomOf(target) || (!roomOf(target) && target.startsWith(entry));
  if (target.startsWith('node:')) return entry === 'node:';
  const name = target.split('/', target.startsWith('@') ? 2 : 1).join('/');
  return entry === name || entry === 'packages';
}

/**
 * @param {string} room
 * @param {Import} found
 * @returns {'yes' | 'types' | 'no'} whether the room may import it
 */
function permission(room, found) {
  const target = found.file ? roomOf(found.target) : undefined;
  if (target === room || (target && leaves.includes(target) && isShipped(room))) return 'yes';
  const row = rooms[room] ?? [];
  if (row.some((entry) => covers(entry, found))) return 'yes';
  return row.some((entry) => entry.startsWith(types) && covers(entry.slice(types.length), found)) ? 'types' : 'no';
}

/**
 * @param {readonly Source[]} sources
 * @returns {string[]} one line for each import that the table does not allow, and for each shipped file in no room
 */
export function forbiddenImports(sources) {
  return sources.flatMap((source) => {
    const { path } = source;
    const room = roomOf(path);
    if (!room) return isShipped(path) ? [`${path} is in no room: see tools/check/rooms.mjs`] : [];
    return importsOf(source).flatMap((found) => {
      const { target, kind } = found;
      if (room === workerURL.from && target === workerURL.to && kind === 'url') return [];
      const allowed = permission(room, found);
      if (allowed === 'yes' || (allowed === 'types' && kind === 'type')) return [];
      const why = allowed === 'types' ? 'may import types of it only' : 'may not import it';
      return [`${path} → ${target} (${kind}): ${room} ${why}, see tools/check/rooms.mjs`];
    });
  });
}

/**
 * @param {readonly Source[]} sources
 * @returns {string[]} one line if several files of the page name the worker's URL
 */
export function repeatedWorkerURL(sources) {
  const places = sources
    .filter(
      (source) => source.path.startsWith('src/') && importsOf(source).some(({ target }) => target === workerURL.to),
    )
    .map(({ path }) => path);
  return places.length > 1 ? [`${workerURL.to} is named by ${places.join(' and ')}: one of them should`] : [];
}

/**
 * @param {readonly Source[]} sources
 * @param {(path: string) => boolean} [exists] whether there is such a file or folder
 * @returns {string[]} one line for each room or file that the table names and that is not there
 */
export function lostRooms(sources, exists = existsSync) {
  const named = Object.entries(rooms).flatMap(([room, row]) => [room, ...row.map((entry) => entry.replace(types, ''))]);
  const paths = [...new Set(named)].filter((entry) => /\/\*?$|\.ts$/.test(entry));
  return (
    paths
      .filter((entry) => !sources.some(({ path }) => path === entry || path.startsWith(entry.replace(/\*$/, ''))))
      // Folders that hold data only have no sources.
      .filter((entry) => !exists(entry.replace(/\*$/, '')))
      .map((entry) => `tools/check/rooms.mjs names ${entry}, which is not there`)
  );
}
