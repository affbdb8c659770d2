/** Lines a file may have without saying why it has more: `// size: <reason>` in its first ten lines. */
const fileCeiling = 300;

/** Lines that the shipped rooms may have together, WGSL and comments included: see docs/decisions.md. */
export const houseCeiling = 12_850;
const shipped = ['src/', 'worker/', 'models/', 'proxy/'];

/**
 * @param {readonly import('./sources.mjs').Source[]} sources
 * @returns {string[]}
 */
export function tooLong(sources) {
  const files = sources
    .filter(({ lines, text }) => lines > fileCeiling && !hasReason(text))
    .map(({ path, lines }) => `${path} has ${lines} lines; above ${fileCeiling} it needs a "// size: <reason>" on top`);
  const total = sources
    .filter(({ path }) => shipped.some((room) => path.startsWith(room)))
    .reduce((sum, { lines }) => sum + lines, 0);
  return total > houseCeiling
    ? [...files, `${shipped.join(', ')} have ${total} lines together, over ${houseCeiling}`]
    : files;
}

/** @param {string} text */
function hasReason(text) {
  return text.split('\n', 10).some((line) => /^(\/\/|\/\*\*?| \*|<!--) size: \S/.test(line));
}
