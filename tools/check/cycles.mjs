import { isShipped } from './rooms.mjs';
import { importsOf } from './sources.mjs';

/**
 * Circles of imports among the shipped files, types and what is loaded later included. Of each knot of files that all
 * reach each other one circle is told, the shortest through its first file: another may show when that one is cut.
 *
 * @param {readonly import('./sources.mjs').Source[]} sources
 * @returns {string[]} one line per knot
 */
export function importCycles(sources) {
  const files = sources.filter(({ path }) => isShipped(path));
  const paths = new Set(files.map(({ path }) => path));
  const graph = new Map(
    files.map((source) => {
      const targets = importsOf(source).map(({ target }) => target);
      return [source.path, [...new Set(targets)].filter((target) => paths.has(target))];
    }),
  );
  /** @type {Set<string>} */
  const told = new Set();
  return [...graph.keys()].flatMap((start) => {
    if (told.has(start)) return [];
    const circle = shortestCircle(graph, start);
    if (!circle) return [];
    const knot = [...graph.keys()].filter((each) => reaches(graph, start).has(each) && reaches(graph, each).has(start));
    for (const each of knot) told.add(each);
    return [`a circle of imports: ${circle.join(' → ')}`];
  });
}

/** @typedef {ReadonlyMap<string, readonly string[]>} Graph */

/**
 * @param {Graph} graph
 * @param {string} start
 * @returns {Map<string, string>} every file that can be reached, with the one before it on the shortest way
 */
function reaches(graph, start) {
  /** @type {Map<string, string>} */
  const before = new Map();
  const queue = [start];
  for (const from of queue) {
    for (const to of graph.get(from) ?? []) {
      if (before.has(to)) continue;
      before.set(to, from);
      queue.push(to);
    }
  }
  return before;
}

/**
 * @param {Graph} graph
 * @param {string} start
 * @returns {string[] | undefined} from the start back to itself
 */
function shortestCircle(graph, start) {
  const before = reaches(graph, start);
  if (!before.has(start)) return undefined;
  const circle = [start];
  do circle.unshift(before.get(circle[0] ?? start) ?? start);
  while (circle[0] !== start);
  return circle;
}
