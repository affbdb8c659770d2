const width = 120;

/**
 * A spec as TypeScript, without the files' addresses: they follow from repository and commit.
 *
 * @param {import('../../src/protocol/model-spec.ts').ModelSpec} spec
 */
export function specAsCode(spec) {
  const plain = JSON.parse(
    JSON.stringify(spec, (key, value) => (key === 'url' && isFileAddress(value) ? undefined : value)),
  );
  const declared = `export const ${nameOf(spec.id)}: ModelSpec = `;
  return `import type { ModelSpec } from 'nearsight';\n\n${declared}${print(plain, '', declared.length)};`;

  /** @param {unknown} value the licence has a `url` as well */
  function isFileAddress(value) {
    return typeof value === 'string' && value.includes(`/resolve/${spec.revision}/`);
  }
}

/**
 * `org/Some-Model.2B` → `someModel2B`.
 *
 * @param {string} id
 */
function nameOf(id) {
  const words = id
    .slice(id.lastIndexOf('/') + 1)
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean);
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  const name = joined.charAt(0).toLowerCase() + joined.slice(1);
  return /^[a-z]/.test(name) ? name : `model${joined}`;
}

/**
 * In one line where it fits.
 *
 * @param {unknown} value plain data
 * @param {string} indent of the line that it starts in
 * @param {number} before characters before it in that line
 * @returns {string}
 */
function print(value, indent, before) {
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'number') return String(value).replaceAll(/\B(?=(\d{3})+$)/g, '_');
  if (typeof value !== 'object' || value === null) return String(value);
  const list = Array.isArray(value);
  const [open, close] = list ? ['[', ']'] : ['{', '}'];
  /** @param {string} deeper */
  const items = (deeper) =>
    Object.entries(value).map(([key, item]) => {
      const label = list ? '' : `${/^[a-z]\w*$/i.test(key) ? key : quote(key)}: `;
      return label + print(item, deeper, deeper.length + label.length + 1);
    });
  const inner = items('').join(', ');
  const space = list || inner === '' ? '' : ' ';
  const line = `${open}${space}${inner}${space}${close}`;
  if (!line.includes('\n') && before + line.length < width) return line;
  const deeper = `${indent}  `;
  return `${open}\n${items(deeper)
    .map((item) => `${deeper}${item},\n`)
    .join('')}${indent}${close}`;
}

/**
 * Names come from the repository: nothing in them may end the string.
 *
 * @param {string} text
 */
function quote(text) {
  return /^[\x20-\x26\x28-\x5b\x5d-\x7e]*$/.test(text) ? `'${text}'` : JSON.stringify(text);
}
