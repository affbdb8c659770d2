import { codeLines as budgets, codeLinesTogether } from './budgets.mjs';
import { isShipped, roomOf, rooms } from './rooms.mjs';
import { isModule, parse } from './sources.mjs';

/** @typedef {import('./sources.mjs').Source} Source */

/** Of a shader in a template literal: a line that is a comment. Comments behind code don't matter, the line counts. */
const shaderComment = /^[ \t]*\/\/.*$/gm;

/**
 * @param {Pick<Source, 'path' | 'text'>} source
 * @returns {number} lines that are neither blank nor comment; shaders in template literals count, their comments do not
 */
export function codeLinesOf(source) {
  const comments = isModule.test(source.path) ? parse(source).comments : [];
  let text = source.text;
  for (const { start, end } of comments) {
    text = text.slice(0, start) + text.slice(start, end).replace(/[^\n]/g, ' ') + text.slice(end);
  }
  return text
    .replace(shaderComment, '')
    .split('\n')
    .filter((line) => line.trim() !== '').length;
}

/**
 * @param {readonly Source[]} sources
 * @returns {Record<string, number>} code lines of each shipped room, in the table's order
 */
export function linesPerRoom(sources) {
  const files = sources.filter(({ path }) => isShipped(path));
  const perRoom = [...Object.keys(rooms), undefined].map((room) => {
    const own = files.filter(({ path }) => roomOf(path) === room);
    return /** @type {const} */ ([room ?? 'no room', own.reduce((sum, source) => sum + codeLinesOf(source), 0)]);
  });
  return Object.fromEntries(perRoom.filter(([, count]) => count > 0));
}

/** @param {Record<string, number>} lines */
export function together(lines) {
  return Object.values(lines).reduce((sum, each) => sum + each, 0);
}

/**
 * @param {readonly Source[]} sources
 * @param {Record<string, number>} [most]
 * @returns {string[]}
 */
export function overLineBudget(sources, most = budgets) {
  const lines = linesPerRoom(sources);
  const over = Object.entries(lines).flatMap(([room, has]) => {
    const budget = most[room];
    if (budget === undefined) return [`${room} has no budget in tools/check/budgets.mjs`];
    return has > budget ? [`${room} has ${has} code lines, over its budget of ${budget}: tools/check/budgets.mjs`] : [];
  });
  const gone = Object.keys(most).filter((room) => lines[room] === undefined);
  const all = together(lines);
  return [
    ...over,
    ...gone.map((room) => `${room} has a budget in tools/check/budgets.mjs and no files`),
    ...(all > codeLinesTogether
      ? [`the shipped rooms have ${all} code lines together, over ${codeLinesTogether}`]
      : []),
  ];
}
