/** Lines a file may have without saying why it has more: `// size: <reason>` in its first ten lines. */
const fileCeiling = 300;

/**
 * @param {readonly import('./sources.mjs').Source[]} sources
 * @returns {string[]}
 */
export function tooLong(sources) {
  return sources
    .filter(({ lines, text }) => lines > fileCeiling && !hasReason(text))
    .map(({ path, lines }) => `${path} has ${lines} lines; above ${fileCeiling} it needs a "// size: <reason>" on top`);
}

/** @param {string} text */
function hasReason(text) {
  return text.split('\n', 10).some((line) => /^(\/\/|\/\*\*?| \*|<!--) size: \S/.test(line));
}
